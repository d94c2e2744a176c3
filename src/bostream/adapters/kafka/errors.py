"""librdkafka's errors as ours, named after their remedy. The table behind it is in docs/ARCHITECTURE.md.

What must stay true: no error of the library leaves this folder.
"""

import logging

from confluent_kafka import KafkaError, KafkaException

from bostream.errors import BostreamError, BrokerError, ConfigurationError, FencedError, TransientError

logger = logging.getLogger(__name__)

FENCED = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.FENCED_INSTANCE_ID})
MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
LOST_OFFSET = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})
FORBIDDEN = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
FENCED_MEMBER = KafkaError(KafkaError.FENCED_INSTANCE_ID).str()


def error_of(exception: KafkaException) -> KafkaError:
    """Return the KafkaError inside an exception."""
    error = exception.args[0]
    if not isinstance(error, KafkaError):
        raise BrokerError(str(exception)) from exception
    return error


def check_consumer_error(error: KafkaError) -> None:
    """Raise what an error of a consumer calls for; those that mend themselves are logged."""
    code = error.code()
    if code in LOST_OFFSET:
        raise ConfigurationError(f"the offset to read from does not exist any more: {error.str()}")
    if code in MISSING:
        raise ConfigurationError(f"a topic is missing: {error.str()}. Create it with `bostream init`.")
    if code in FORBIDDEN:
        raise BrokerError(f"not allowed: {error.str()}")
    # a consumer's fatal error comes as the code _FATAL with the cause in its text only, and does not call itself fatal
    if error.fatal() or code == KafkaError._FATAL:
        is_fenced = code in FENCED or FENCED_MEMBER in error.str()
        raise FencedError(error.str()) if is_fenced else BrokerError(error.str())
    logger.info("consumer: %s", error.str())  # _MAX_POLL_EXCEEDED, lost connections: mend themselves


def transient_or_worse(error: KafkaError, what: str) -> BostreamError:
    """Return the error that a failed request calls for: to be tried again, unless it is one that never passes."""
    text = f"{what}: {error.str()}"
    if error.code() in FENCED:
        return FencedError(text)
    if error.code() in FORBIDDEN or error.fatal():
        return BrokerError(text)
    if error.code() in MISSING:
        return ConfigurationError(f"{text}. Create it with `bostream init`.")
    return TransientError(text)
