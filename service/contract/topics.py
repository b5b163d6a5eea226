"""The names of the Kafka topics."""

from dataclasses import dataclass

from service.domain.provider_types import ProviderType


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one installation; each name begins with `prefix` and a dot.

    Every consumer group has the name of the topic that it reads.
    """

    prefix: str

    def job_topic(self, provider_type: ProviderType) -> str:
        """The topic for the job messages of one provider type."""
        return f"{self.prefix}.{provider_type.value}"

    def provider_type(self, topic: str) -> ProviderType | None:
        """The provider type of a job topic; None if this is no job topic of this installation."""
        for provider_type in ProviderType:
            if self.job_topic(provider_type) == topic:
                return provider_type
        return None

    @property
    def completed(self) -> str:
        """The topic for completion events and parked events."""
        return f"{self.prefix}.completed"

    @property
    def progress(self) -> str:
        """The topic for progress events. They are for display only: a consumer may miss some."""
        return f"{self.prefix}.progress"

    @property
    def dead_letter(self) -> str:
        """The topic for messages that could not be processed, with their original bytes."""
        return f"{self.prefix}.dead-letter"

    @property
    def all_jobs(self) -> tuple[str, ...]:
        """The job topics of all provider types."""
        return tuple(self.job_topic(provider_type) for provider_type in ProviderType)
