"""Whatever text a user writes stays a text: it never becomes a line, a key or an object of a manifest."""

from dataclasses import replace

import jinja2
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fluidenvironment import Database
from fluid_operator.api.meta import KeyRef
from fluid_operator.api.pods import EnvFrom, EnvSourceRef, EnvVar, Resources, Toleration
from fluid_operator.environments.rendering import templates
from fluid_operator.environments.rendering.errors import BadManifest, UnwritableValue
from fluid_operator.environments.rendering.manifests import render
from fluid_operator.environments.rendering.values import Written, write
from support.environments import blueprint, blueprint_of, child, container

LOADERS = [yaml.SafeLoader, yaml.CSafeLoader]

hostile = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.sampled_from(
        [
            "",
            "~",
            "null",
            "yes",
            "1e3",
            "0x1f",
            "2026-11-24",
            "<<",
            "=",
            "*alias",
            "&anchor",
            "!!python/object:os.system",
            "{{ credentials }}",
            "{% raw %}",
            "a: b",
            "- a",
            "# not a comment",
            '"',
            "'",
            "\\",
            '"}, "kind": "Role", "x": {"y": "',
            "a\n---\nkind: ClusterRoleBinding",
            "a\r\nb",
            "\x85 \u2028 \u2029 \ufeff \x7f \x00 \x1b",
            "\U0001f600",
            "%TAG ! tag:",
            "$(FLUID_REDIS_URL)",
        ]
    ),
)
keys = hostile.filter(lambda key: len(key) < 40)
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
jsons = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, hostile),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)


@pytest.mark.parametrize("loader", LOADERS)
@settings(max_examples=300, deadline=None)
@given(jsons)
def test_what_is_written_is_read_back_as_it_was(loader, value):
    text = write(value)
    assert len(text.splitlines()) == 1
    assert yaml.load(f"a:\n  - b: {text}\nc: 1\n", Loader=loader) == {"a": [{"b": value}], "c": 1}  # noqa: S506 - both are safe


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), object(), {1: "a"}, {"k" * 600: 1}, b"bytes", {"a"}, jinja2.Undefined()]
)
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises(UnwritableValue):
        write([value])


def test_only_what_the_filter_made_gets_into_the_output():
    made = templates._templates()
    assert made.from_string("{{ a | json }}").render(a="x") == '"x"'
    assert isinstance(write("x"), Written)
    for careless in ("{{ a }}", "{{ 'constant' }}", "{{ a | json | upper }}", "{{ a | json ~ b }}"):
        with pytest.raises(jinja2.TemplateError):
            made.from_string(careless).render(a="x", b="y")


def test_a_name_that_was_not_given_is_an_error():
    with pytest.raises(BadManifest, match="pool-serviceaccount"):
        templates.manifest("pool-serviceaccount", {})
    with pytest.raises(BadManifest):
        templates.manifest("no-such-template", {})


def shape(value):
    """A manifest without the texts in it."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value)


PLAIN = "x"


def rendered(text: str, key: str) -> list[dict]:
    """The children of the full example with this text in every field that takes one, as if no schema had checked it."""
    spec = blueprint_of("full").spec
    ref = KeyRef.model_construct(name=text, key=text)
    pool = spec.workers[1].model_copy(
        update={
            "image": text,
            "service_account_name": text,
            "queues": [text],
            "env": [
                EnvVar.model_construct(name=key, value=text),
                EnvVar.model_construct(name="OTHER", value_from={"secretKeyRef": {key: text}}),
            ],
            "env_from": [EnvFrom.model_construct(prefix=text, secret_ref=EnvSourceRef.model_construct(name=text))],
            "node_selector": {key: text},
            "tolerations": [Toleration.model_construct(key=text, value=text)],
            "affinity": {key: [{key: text}]},
            "resources": Resources.model_construct(limits={key: text}),
        }
    )
    managed = spec.redis.managed.model_copy(
        update={
            "image": text,
            "storage": text,
            "storage_class_name": text,
            "resources": Resources.model_construct(requests={key: text}),
        }
    )
    changed = {
        "image": text,
        "workers": [spec.workers[0], pool],
        "redis": spec.redis.model_copy(update={"managed": managed}),
        "database": Database.model_construct(url_secret_ref=ref),
    }
    return render(replace(blueprint_of("full"), spec=spec.model_copy(update=changed), secrets_version=text))


@settings(max_examples=150, deadline=None)
@given(hostile.filter(bool))
def test_a_hostile_text_in_every_field_changes_texts_only(text):
    plain, attacked = rendered(PLAIN, "K"), rendered(text, "K")
    assert shape(attacked) == shape(plain)
    mail = child(attacked, "Deployment", "staging-mail")
    assert container(mail)["image"] == text
    assert {"name": "K", "value": text} in container(mail)["env"]
    assert mail["spec"]["template"]["spec"]["affinity"] == {"K": [{"K": text}]}
    assert child(attacked, "StatefulSet")["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == text


@settings(max_examples=100, deadline=None)
@given(keys.filter(bool))
def test_a_hostile_key_is_a_key_and_nothing_else(key):
    mail = child(rendered(PLAIN, key), "Deployment", "staging-mail")
    assert mail["spec"]["template"]["spec"]["nodeSelector"] == {key: PLAIN}
    assert mail["spec"]["template"]["spec"]["affinity"] == {key: [{key: PLAIN}]}


def test_a_key_that_is_too_long_is_told_as_the_users_mistake():
    pool = {"name": "default", "affinity": {"k" * 2000: {}}}
    spec = {"image": "x:1", "redis": {"managed": {}}, "workers": [pool]}
    with pytest.raises(InvalidSpec, match="a key is longer than 500 characters"):
        render(blueprint(spec))


@pytest.mark.parametrize("text", ["200mb\nsave 1 1", "mb", "1tb", "-1", "", " 1", "1\n", "٣mb", "9" * 40])
def test_an_amount_of_memory_is_a_number_or_refused(text):
    managed = blueprint_of("full").spec.redis.managed.model_copy(update={"max_memory": text})
    spec = blueprint_of("full").spec
    plan = replace(
        blueprint_of("full"), spec=spec.model_copy(update={"redis": spec.redis.model_copy(update={"managed": managed})})
    )
    if text:
        with pytest.raises(InvalidSpec, match="maxMemory"):
            render(plan)
    else:
        assert "maxmemory 209715200\n" in child(render(plan), "ConfigMap")["data"]["redis.conf"]
