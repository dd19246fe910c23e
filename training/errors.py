"""What can go wrong in training through somebody else's fault or a broken disk, with the numbers in the message.

TrainingError
├── PayloadError         bytes that are not the one encoding of a pseudo-gradient or aggregate, or a delta that has none
├── CheckpointError      a file of saved state that is missing, damaged, or of another model
├── CorpusError          text, manifest or token cache that does not match what was promised
├── TokenizerError       a tokenizer file that is missing, malformed or unusable
├── ConfigError          numbers that describe no model or no training
├── DeviceError          a device that was asked for and is not there
└── ReplayError          bytes of a shown state that are no vector of this model
"""


class TrainingError(Exception):
    """The family: anything that bad input, a bad file or an unsuitable machine can cause in training."""


class PayloadError(TrainingError):
    """A pseudo-gradient or aggregate that cannot be encoded, or bytes that do not decode to one."""


class CheckpointError(TrainingError):
    """A checkpoint that is missing, damaged, or of another model."""


class CorpusError(TrainingError):
    """Corpus text, manifest or token cache that does not match what was promised."""


class TokenizerError(TrainingError):
    """A tokenizer file that is missing, malformed or unusable."""


class ConfigError(TrainingError):
    """Numbers that describe no model or no training."""


class DeviceError(TrainingError):
    """A device that was asked for and is not there."""


class ReplayError(TrainingError):
    """Bytes of a state shown to auditors that are no vector of this model."""
