"""Settings: which layer wins, what is refused and why, and that secrets stay secret."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bostream.errors import ConfigurationError
from bostream.settings import MASK, REFUSED, InForce, Settings, is_secret, load_settings, settings_in_force


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer but those of the test: an empty directory, no variables of ours."""
    for variable in list(os.environ):
        if variable.startswith("BOSTREAM_"):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)


def load(file: str = "", **environment_or_flags: Any) -> Settings:
    Path("bostream.toml").write_text(file, encoding="utf-8")
    return load_settings(environment_or_flags).settings


def refused(*, file: str = "", flags: dict[str, Any] | None = None) -> str:
    """Return the words with which these settings are refused."""
    Path("bostream.toml").write_text(file, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(flags)
    return str(caught.value)


def in_force(name: str, **flags: Any) -> InForce:
    (found,) = [each for each in settings_in_force(load_settings(flags)) if each.name == name]
    return found


# --- layers


def test_without_any_layer_the_defaults_are_in_force() -> None:
    settings = load_settings().settings

    assert "bostream" == settings.app
    assert 8 == settings.engine.partitions
    assert Path("bostream-state") == settings.state.directory
    assert "127.0.0.1:9092" == settings.kafka.bootstrap_servers


def test_the_instance_is_the_host_name_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "worker-7")

    assert "worker-7" == load_settings().settings.instance
    assert "other" == load_settings({"instance": "other"}).settings.instance


def test_each_layer_wins_over_the_one_below(monkeypatch: pytest.MonkeyPatch) -> None:
    file = "[engine]\npartitions = 2\nheartbeat_ms = 200\npoll_timeout_ms = 20\n"
    monkeypatch.setenv("BOSTREAM_ENGINE__HEARTBEAT_MS", "300")
    monkeypatch.setenv("BOSTREAM_ENGINE__POLL_TIMEOUT_MS", "30")

    engine = load(file, **{"engine.poll_timeout_ms": 40}).engine

    assert (2, 300, 40, 2000) == (
        engine.partitions,
        engine.heartbeat_ms,
        engine.poll_timeout_ms,
        engine.batch_records_max,
    )


def test_a_flag_that_was_not_given_changes_nothing() -> None:
    assert 2 == load("[engine]\npartitions = 2\n", **{"engine.partitions": None}).engine.partitions


def test_the_variable_names_another_file_and_the_flag_another_still(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bostream.toml").write_text('app = "here"', encoding="utf-8")
    Path("other.toml").write_text('app = "named"', encoding="utf-8")
    Path("flag.toml").write_text('app = "flagged"', encoding="utf-8")

    assert "here" == load_settings().settings.app
    monkeypatch.setenv("BOSTREAM_CONFIG", "other.toml")
    assert "named" == load_settings().settings.app
    assert "flagged" == load_settings(config=Path("flag.toml")).settings.app


def test_a_named_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.toml: No such file"):
        load_settings(config=Path("gone.toml"))


def test_a_file_that_is_no_toml_is_an_error_with_the_place() -> None:
    assert "line 2" in refused(file="app = 'x'\n= 3\n")


def test_importing_the_module_reads_nothing() -> None:
    environment = os.environ | {"BOSTREAM_ENGINE__PARTITIONS": "none"}
    program = "import bostream.settings; print('imported')"

    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    assert "imported\n" == answer.stdout


# --- what goes to librdkafka


def test_kafka_settings_pass_through_for_all_and_for_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    file = """
        [kafka]
        "bootstrap.servers" = "one:9092,two:9092"
        "security.protocol" = "SASL_SSL"
        [kafka.consumer]
        "fetch.min.bytes" = 100
        [kafka.producer]
        "compression.type" = "lz4"
    """
    monkeypatch.setenv("BOSTREAM_KAFKA__SASL_USERNAME", "allocator")
    monkeypatch.setenv("BOSTREAM_KAFKA__CONSUMER__FETCH_WAIT_MAX_MS", "20")

    kafka = load(file).kafka

    assert "one:9092,two:9092" == kafka.bootstrap_servers
    assert {"security.protocol": "SASL_SSL", "sasl.username": "allocator"} == kafka.common
    assert {"fetch.min.bytes": 100, "fetch.wait.max.ms": "20"} == kafka.consumer
    assert {"compression.type": "lz4"} == kafka.producer


def test_a_table_in_toml_with_bare_dots_says_the_same_as_a_quoted_name() -> None:
    assert {"ssl.ca.location": "/ca.pem"} == load("[kafka]\nssl.ca.location = '/ca.pem'\n").kafka.common


def test_the_environment_wins_over_the_file_however_the_name_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSTREAM_KAFKA__BOOTSTRAP_SERVERS", "environment:9092")

    assert "environment:9092" == load('[kafka]\n"bootstrap.servers" = "file:9092"\n').kafka.bootstrap_servers


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - {"bootstrap.servers"}))
@pytest.mark.parametrize("table", ["kafka", "kafka.consumer", "kafka.producer"])
def test_what_would_break_the_guarantee_is_refused_with_the_reason(table: str, name: str) -> None:
    words = refused(file=f'[{table}]\n"{name}" = "anything"\n')

    assert f"{name} cannot be set: {REFUSED[name]}" in words


def test_the_servers_cannot_differ_between_clients() -> None:
    assert "set kafka.bootstrap_servers" in refused(file='[kafka.consumer]\n"bootstrap.servers" = "x:1"\n')


def test_a_refused_setting_in_the_environment_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSTREAM_KAFKA__CONSUMER__ENABLE_AUTO_COMMIT", "true")

    assert "enable.auto.commit cannot be set" in refused()


# --- errors


def test_an_error_names_the_setting_what_was_given_where_and_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSTREAM_ENGINE__PARTITIONS", "0")

    assert (
        "engine.partitions = '0' (from BOSTREAM_ENGINE__PARTITIONS): input should be greater than or equal to 1."
        == refused()
    )


def test_all_wrong_settings_are_told_at_once() -> None:
    words = refused(file="[engine]\npartitions = 'many'\n[output]\nformat = 'xml'\n")

    assert "engine.partitions = 'many' (from bostream.toml)" in words
    assert "output.format = 'xml' (from bostream.toml): input should be 'avro' or 'json'." in words


def test_a_misspelled_setting_in_the_file_is_an_error_that_suggests_the_right_name() -> None:
    assert "engine.partition (from bostream.toml) is no setting. Did you mean engine.partitions?" == refused(
        file="[engine]\npartition = 4\n"
    )


def test_a_misspelled_variable_is_an_error_that_suggests_the_right_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOSTREAM_ENGIN__PARTITIONS", "4")

    assert "BOSTREAM_ENGIN__PARTITIONS is no setting. Did you mean engine?" == refused()


def test_variables_that_kubernetes_makes_for_a_service_of_our_name_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BOSTREAM_PORT", "tcp://10.0.0.1:9000")
    monkeypatch.setenv("BOSTREAM_SERVICE_PORT_METRICS", "9000")

    assert "bostream" == load_settings().settings.app


@pytest.mark.parametrize("name", ["", "-leading", "with space", "slash/", "umläut", "a" * 101])
def test_an_application_name_that_no_topic_could_carry_is_refused(name: str) -> None:
    assert "app = " in refused(flags={"app": name})


@pytest.mark.parametrize("text", ["C8:1", "C3", "C3:0", "3:5", "C3:5 "])
def test_a_failpoint_is_a_step_and_a_pass(text: str) -> None:
    assert "engine.failpoint" in refused(flags={"engine.failpoint": text})
    assert "C3:5" == load(**{"engine.failpoint": "C3:5"}).engine.failpoint


def test_timeouts_that_contradict_each_other_are_refused() -> None:
    assert "a third of session_timeout_ms" in refused(flags={"engine.heartbeat_ms": 2001})
    assert "not be below session_timeout_ms" in refused(flags={"engine.max_poll_interval_ms": 5999})
    assert "not be below retry_backoff_ms" in refused(flags={"engine.retry_backoff_max_ms": 99})


def test_settings_cannot_be_changed_after_reading() -> None:
    settings = load_settings().settings

    with pytest.raises(ValueError, match="frozen"):
        settings.engine.partitions = 3


# --- secrets and origins


def test_every_setting_is_listed_with_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bostream.toml").write_text("[rules]\nnotice_window_ms = 500\n", encoding="utf-8")
    monkeypatch.setenv("BOSTREAM_KAFKA__CONSUMER__FETCH_MIN_BYTES", "7")

    assert InForce("rules.notice_window_ms", "500", "bostream.toml") == in_force("rules.notice_window_ms")
    assert InForce("rules.closed_retention_hours", "720", "default") == in_force("rules.closed_retention_hours")
    assert InForce("output.format", "json", "flag") == in_force("output.format", **{"output.format": "json"})
    assert InForce("kafka.consumer.fetch.min.bytes", "7", "BOSTREAM_KAFKA__CONSUMER__FETCH_MIN_BYTES") == in_force(
        "kafka.consumer.fetch.min.bytes"
    )


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.jaas.config",
        "my.token",
    ],
)
def test_a_secret_is_masked_wherever_it_could_be_seen(name: str) -> None:
    loaded = load_settings({f"kafka.{name}": "hunter2"})

    assert "hunter2" == loaded.settings.kafka.common[name]
    assert "hunter2" not in repr(settings_in_force(loaded))
    assert "hunter2" not in repr(loaded.settings)
    assert MASK == in_force(f"kafka.{name}", **{f"kafka.{name}": "hunter2"}).value


def test_a_wrong_secret_is_not_shown_in_the_error() -> None:
    words = refused(file='[kafka]\n"sasl.password" = ["hunter2"]\n')

    assert "kafka.sasl.password" in words
    assert "hunter2" not in words


def test_a_secret_comes_from_a_file_when_one_is_named() -> None:
    Path("secret").write_text("hunter2\n", encoding="utf-8")
    loaded = load_settings({"kafka.sasl.password.file": "secret"})

    assert {"sasl.password": "hunter2"} == loaded.settings.kafka.common
    assert InForce("kafka.sasl.password", MASK, "secret (by flag)") in settings_in_force(loaded)


def test_a_secret_file_that_is_missing_is_an_error() -> None:
    assert "kafka.sasl.password.file (from flag): cannot read gone: No such file" in refused(
        flags={"kafka.sasl.password.file": "gone"}
    )


def test_names_of_our_own_are_no_secrets() -> None:
    assert [] == [each.name for each in settings_in_force(load_settings()) if is_secret(each.name)]


@given(st.integers(1, 1024), st.sampled_from(["avro", "json"]), st.text("abc.-_", min_size=0, max_size=8))
def test_what_is_shown_can_be_given_again_as_flags(partitions: int, output: str, prefix: str) -> None:
    loaded = load_settings({"engine.partitions": partitions, "output.format": output, "topics.prefix": prefix})

    again = load_settings({each.name: each.value for each in settings_in_force(loaded)})

    assert loaded.settings == again.settings
