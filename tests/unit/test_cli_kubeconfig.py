"""Which context and namespace the command works in, by kubectl's rules."""

import os

import pytest

from fluid_cli.errors import BadUsage, CliError
from fluid_cli.kubeconfig import Place, choose, find_place

STAGING = {"name": "staging", "context": {"cluster": "c", "namespace": "team-staging"}}
BARE = {"name": "bare", "context": {"cluster": "c"}}
CONFIG = {"current-context": "staging", "contexts": [STAGING, BARE]}


def test_the_current_context_decides():
    assert choose([CONFIG], None) == Place("staging", "team-staging")


def test_a_context_without_a_namespace_is_at_home_in_default():
    assert choose([CONFIG], "bare") == Place("bare", "default")


def test_of_several_files_the_first_that_says_something_wins():
    other = {"current-context": "bare", "contexts": [{"name": "staging", "context": {"namespace": "other"}}, BARE]}
    assert choose([{"contexts": []}, CONFIG, other], None) == Place("staging", "team-staging")


def test_an_unknown_context_names_those_that_exist():
    with pytest.raises(BadUsage, match="there are: bare, staging"):
        choose([CONFIG], "prod")


@pytest.mark.parametrize("documents", [[], [{"contexts": []}], [{"contexts": "x"}], [{"contexts": [BARE]}]])
def test_without_a_current_context_the_way_out_is_told(documents):
    with pytest.raises(CliError, match="--context"):
        choose(documents, None)


def test_files_of_the_variable_are_read_and_missing_ones_are_passed_over(tmp_path):
    file = tmp_path / "config"
    file.write_text("current-context: a\ncontexts: [{name: a, context: {namespace: team}}]\n")
    variable = os.pathsep.join([str(tmp_path / "none"), str(file)])
    assert find_place(None, None, {"KUBECONFIG": variable}) == Place("a", "team")


def test_a_named_file_that_is_missing_is_a_mistake(tmp_path):
    with pytest.raises(BadUsage, match="--kubeconfig"):
        find_place(tmp_path / "none", None, {})


def test_a_file_that_is_no_kubeconfig_is_named_without_its_content(tmp_path):
    file = tmp_path / "config"
    file.write_text("token: [s3cret")
    with pytest.raises(CliError, match="it is no YAML") as raised:
        find_place(file, None, {})
    assert "s3cret" not in str(raised.value)


def test_a_pod_needs_no_kubeconfig():
    place = find_place(None, None, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert place == Place(None, "default")
