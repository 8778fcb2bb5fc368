"""The operator's settings: environment variables with the prefix FLUID_, read once at start and handed down as one
typed value.

A field's declaration carries its default, its unit (in its name) and its meaning; `--help` is made from that. All
problems are reported at once, each with its variable and without its value. How the API server is reached is
kubectl's business: KUBECONFIG, the pod's service account, or ~/.kube/config.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fluid_operator.admission.settings import OwnNames, WebhookSettings
from fluid_operator.errors import SettingProblem, SettingsError
from fluid_operator.kube.lease import LeaseSettings
from fluid_operator.kube.throttle import ThrottleSettings
from fluid_operator.sharding import EVERYTHING, Shard, parse_shard

PREFIX: Final = "FLUID_"

_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME: Final = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
_READING: Final = (
    "An empty variable counts as unset. All that is wrong is told at once, and nothing is started then (exit code 2). "
    "How the API server is reached is kubectl's business: `KUBECONFIG`, the pod's service account, or `~/.kube/config`."
)


def _split(value: object) -> object:
    return tuple(part for part in re.split(r"[,\s]+", value) if part) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _shard(value: object) -> object:
    return parse_shard(value) if isinstance(value, str) else value


def _namespaces(names: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [str(place) for place, name in enumerate(names, 1) if not re.fullmatch(_LABEL, name)]
    if wrong:
        raise ValueError(f"must be names of namespaces, separated by commas; not so: number {', '.join(wrong)}")
    return tuple(dict.fromkeys(names))


def _namespace_of_pod() -> str:
    """The namespace of the pod that we run in, "" outside of a cluster."""
    try:
        return _POD_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _own_namespace() -> str:
    return _namespace_of_pod() or "default"


class OperatorSettings(BaseModel):
    """One field for each variable: `lease_name` is FLUID_LEASE_NAME. An empty variable counts as unset."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    namespaces: Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_namespaces)] = Field(
        (), description="namespaces to serve, separated by commas, with Roles in each; unset: all, with a ClusterRole"
    )
    shard: Annotated[Shard, BeforeValidator(_shard)] = Field(
        EVERYTHING,
        description="the share of the FluidJobs that is served, by a hash of their names: 2/3 is the second of three "
        "shards, which must all run",
    )
    lease_namespace: str = Field(
        default_factory=_own_namespace,
        pattern=f"^{_LABEL}$",
        description="namespace of the Lease; unset: the pod's own, or default outside of a cluster",
    )
    lease_name: str = Field(
        "fluid-operator", pattern=_NAME, description="the Lease that the replicas of one operator compete for"
    )
    lease_duration_seconds: int = Field(
        15, ge=1, le=3600, description="a leader that has gone silent is replaced after so many seconds"
    )
    lease_renew_deadline_seconds: float = Field(
        10.0, gt=0, le=3600, description="a leader stops after so many seconds without a renewal; below the duration"
    )
    lease_retry_seconds: float = Field(
        2.0, gt=0, le=3600, description="seconds between two renewals; below the renew deadline"
    )
    http_host: str = Field("", description="address of /livez, /readyz and /metrics; unset: all of the machine's")
    http_port: int = Field(
        8080, ge=0, le=65535, description="port of /livez, /readyz and /metrics; 0 picks a free one and logs it"
    )
    metrics_service: str = Field(
        "",
        pattern=f"^{_LABEL}\\.{_LABEL}$",
        description="the Service of /metrics as name.namespace, for pools that KEDA scales; unset: KEDA cannot",
    )
    kube_qps: float = Field(
        1000.0, ge=0, le=100_000, description="writes to the API server a second, but those of the Lease; 0: no limit"
    )
    kube_burst: int = Field(
        2000, ge=1, le=1_000_000, description="writes that may go beyond that in a moment, after a time of quiet"
    )
    kube_in_flight: int = Field(
        200, ge=0, le=10_000, description="requests that wait for the API server's answer side by side; 0: no limit"
    )
    webhook_host: str = Field("", description="address of the admission webhook; unset: all of the machine's")
    webhook_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port of the admission webhook (HTTPS); 0 picks a free one and logs it; unset: no webhook",
    )
    webhook_cert_dir: str = Field(
        "",
        description="folder with tls.crt and tls.key for the webhook, such as a Secret that cert-manager fills; read "
        "again when they change",
    )
    webhook_service: str = Field(
        "",
        pattern=f"^{_LABEL}\\.{_LABEL}$",
        description="the webhook's Service as name.namespace: the operator keeps a certificate for it, in the Secret "
        "name-certificate of that namespace; instead of FLUID_WEBHOOK_CERT_DIR",
    )
    webhook_configuration: str = Field(
        "fluid-operator",
        pattern=_NAME,
        description="the ValidatingWebhookConfiguration that is told to trust the certificate that the operator keeps",
    )
    reconcile_workers: int = Field(64, ge=1, le=1000, description="FluidJobs that are looked at side by side")
    status_hold_seconds: float = Field(
        0.2, ge=0, le=10, description="how long the phases Queued and Running may be held back, so as to save a write"
    )
    progress_interval_seconds: float = Field(
        1.0, ge=0.1, le=60, description="least seconds between two status writes of one running FluidJob"
    )
    unknown_type_grace_seconds: float = Field(
        600.0, ge=0, le=86400, description="a FluidJob of a type that no worker knows fails after so many seconds"
    )
    shutdown_seconds: float = Field(
        5.0, ge=0, le=60, description="after SIGTERM, what is in progress may take so many seconds to finish"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        "info", description="least level that is logged: debug, info, warning or error"
    )
    log_format: Annotated[Literal["json", "text"], BeforeValidator(_lower)] = Field(
        "json", description="form of the log: json, or text for people"
    )

    @property
    def pod_namespace(self) -> str:
        """The namespace of our own pod, "" outside of a cluster."""
        return _namespace_of_pod()

    @property
    def own_lease_name(self) -> str:
        """The Lease of this shard."""
        return self.shard.lease_name(self.lease_name)

    @property
    def lease(self) -> LeaseSettings:
        """The times of the election."""
        return LeaseSettings(
            duration=self.lease_duration_seconds,
            renew_deadline=self.lease_renew_deadline_seconds,
            retry=self.lease_retry_seconds,
        )

    @property
    def metrics_url(self) -> str:
        """Where KEDA finds the metrics, "" for nowhere. It asks the Service's pods one by one, on their own port."""
        return f"http://{self.metrics_service}:{self.http_port}/metrics" if self.metrics_service else ""

    @property
    def throttle(self) -> ThrottleSettings:
        """How much of the API server this process takes."""
        return ThrottleSettings(writes_per_second=self.kube_qps, burst=self.kube_burst, in_flight=self.kube_in_flight)

    @property
    def webhook(self) -> WebhookSettings | None:
        """The admission webhook; None where there is to be none."""
        if self.webhook_port is None:
            return None
        service, _, namespace = self.webhook_service.partition(".")
        return WebhookSettings(
            self.webhook_host,
            self.webhook_port,
            folder=Path(self.webhook_cert_dir) if self.webhook_cert_dir else None,
            own=OwnNames(service, namespace, self.webhook_configuration) if service else None,
            namespaces=self.namespaces,
        )


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def from_environment(environment: Mapping[str, str]) -> OperatorSettings:
    """The settings. Raises SettingsError with every problem."""
    values = {
        name: environment[variable(name)]
        for name in OperatorSettings.model_fields
        if environment.get(variable(name), "").strip()
    }
    problems: list[SettingProblem] = []
    try:
        settings = OperatorSettings.model_validate(values)
    except ValidationError as error:
        problems = [_problem(str(each["loc"][0]), each["msg"]) for each in error.errors(include_input=False)]
        # What is wrong between fields shows only when the wrong ones are out of the way.
        wrong = {problem.variable for problem in problems}
        values = {name: value for name, value in values.items() if variable(name) not in wrong}
        settings = OperatorSettings.model_validate(values)
    known = {problem.variable for problem in problems}
    problems += [found for found in _unordered(settings) if found.variable not in known]
    if not any(name.startswith(variable("webhook")) for name in known):
        problems += _uncertified(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def describe() -> list[tuple[str, str, str]]:
    """Rows of variable, default and meaning, in the order of the fields."""
    return [
        (variable(name), _default(name), field.description or "")
        for name, field in OperatorSettings.model_fields.items()
    ]


def reference_page() -> str:
    """Return the reference page in Markdown, for `make crds`."""
    rows = [
        f"| `{name}` | {f'`{default}`' if default else ''} | {meaning[0].upper()}{meaning[1:]}. |"
        for name, default, meaning in describe()
    ]
    parts = [
        "# Settings of the operator",
        "Environment variables, read once at start. Generated by `make crds`; do not edit.",
        _READING,
        "\n".join(("| Variable | Default | Meaning |", "|---|---|---|", *rows)),
    ]
    return "\n\n".join(parts) + "\n"


def _unordered(settings: OperatorSettings) -> list[SettingProblem]:
    """The times of the election that cannot go together: retry < renew deadline < duration."""
    duration, deadline = settings.lease_duration_seconds, settings.lease_renew_deadline_seconds
    found = []
    if deadline >= duration:
        message = f"must be below {variable('lease_duration_seconds')}, which is {duration} s"
        found.append(SettingProblem(variable("lease_renew_deadline_seconds"), message))
    if settings.lease_retry_seconds >= deadline:
        message = f"must be below {variable('lease_renew_deadline_seconds')}, which is {deadline:g} s"
        found.append(SettingProblem(variable("lease_retry_seconds"), message))
    return found


def _uncertified(settings: OperatorSettings) -> list[SettingProblem]:
    """A webhook needs one source for its certificate, and not two."""
    port, folder, service = (variable(f"webhook_{name}") for name in ("port", "cert_dir", "service"))
    values = {folder: settings.webhook_cert_dir, service: settings.webhook_service}
    given = [name for name, value in values.items() if value]
    if len(given) == 2:
        return [SettingProblem(service, f"must not be set together with {folder}")]
    if given and settings.webhook_port is None:
        return [SettingProblem(given[0], f"has no effect without {port}")]
    if not given and settings.webhook_port is not None:
        return [SettingProblem(port, f"needs {folder} or {service}: nobody calls a webhook without a certificate")]
    return []


def _problem(field: str, message: str) -> SettingProblem:
    text = message.removeprefix("Value error, ").replace("Input should be", "must be", 1)
    return SettingProblem(variable(field), text)


def _default(name: str) -> str:
    field = OperatorSettings.model_fields[name]
    if field.default_factory is not None or field.default in ("", (), None):
        return ""
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
