"""Dead letters: messages that cannot be processed, kept with the bytes they came with.

The topic is the transport and the evidence; the table `dead_letters` is the state.
"""
