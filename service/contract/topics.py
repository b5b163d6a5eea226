"""The names of the topics: a prefix, and what flows there."""

from dataclasses import dataclass

from service.domain.provider_types import ProviderType


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one installation; every consumer group is named after its topic."""

    prefix: str

    def job_topic(self, provider_type: ProviderType) -> str:
        """Where the jobs of one provider type arrive."""
        return f"{self.prefix}.{provider_type.value}"

    def provider_type(self, topic: str) -> ProviderType | None:
        """Whose jobs arrive on a topic; None where it is no job topic of this installation."""
        return next(
            (
                provider_type
                for provider_type in ProviderType
                if self.job_topic(provider_type) == topic
            ),
            None,
        )

    @property
    def completed(self) -> str:
        """Completion and parked events."""
        return f"{self.prefix}.completed"

    @property
    def progress(self) -> str:
        """Progress events; nothing is lost by missing one."""
        return f"{self.prefix}.progress"

    @property
    def dead_letter(self) -> str:
        """Messages that could not be processed, with the bytes they came with."""
        return f"{self.prefix}.dead-letter"

    @property
    def all_jobs(self) -> tuple[str, ...]:
        return tuple(self.job_topic(provider_type) for provider_type in ProviderType)
