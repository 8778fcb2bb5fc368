"""Reading the URL of a Redis: what is understood, what is refused, and that nothing of it is repeated."""

import pytest

from fluid_queue.addresses import Address, Tls
from fluid_queue.errors import InvalidAddress


def test_a_server_has_the_usual_port_and_the_first_database():
    address = Address.parse("redis://localhost")
    assert (address.kind, address.nodes, address.database) == ("server", (("localhost", 6379),), 0)
    assert (address.username, address.password, address.tls) == ("", "", None)


def test_user_password_and_database_are_read_and_unquoted():
    address = Address.parse("redis://user:p%40ss%2Fword@redis.team-a.svc:6380/3")
    assert (address.username, address.password, address.database) == ("user", "p@ss/word", 3)
    assert address.nodes == (("redis.team-a.svc", 6380),)


def test_an_ipv6_address_stands_in_brackets():
    assert Address.parse("redis://:secret@[::1]:6380").nodes == (("::1", 6380),)


def test_sentinels_name_their_master_and_may_have_a_password_of_their_own():
    address = Address.parse("redis+sentinel://:pw@a,b:26380,c/main/2?sentinel_password=watch&sentinel_username=s")
    assert address.nodes == (("a", 26379), ("b", 26380), ("c", 26379))
    assert (address.kind, address.master, address.database, address.password) == ("sentinel", "main", 2, "pw")
    assert (address.sentinel_username, address.sentinel_password) == ("s", "watch")


def test_a_cluster_is_named_by_some_of_its_nodes():
    address = Address.parse("rediss+cluster://user:pw@a:7000,b:7001,[::1]:7002")
    assert (address.kind, address.nodes) == ("cluster", (("a", 7000), ("b", 7001), ("::1", 7002)))
    assert address.tls == Tls()


def test_a_unix_socket_has_a_path():
    address = Address.parse("unix://:pw@/run/redis/the.sock?db=1")
    assert (address.kind, address.path, address.database) == ("socket", "/run/redis/the.sock", 1)


def test_tls_options_stand_in_the_url_under_the_names_that_redis_py_gives_them():
    address = Address.parse(
        "rediss://h/0?ssl_ca_certs=/ca.crt&ssl_certfile=/me.crt&ssl_keyfile=/me.key&ssl_check_hostname=false"
    )
    assert address.tls == Tls(ca_file="/ca.crt", certificate_file="/me.crt", key_file="/me.key", check_hostname=False)


def test_options_that_are_handed_over_take_the_place_of_those_in_the_url():
    assert Address.parse("rediss://h?ssl_ca_certs=/ca.crt", tls=Tls(ca_pem="pem")).tls == Tls(ca_pem="pem")


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("", "does not begin with redis://"),
        ("localhost:6379", "does not begin with redis://"),
        ("http://h", "does not begin with redis://"),
        ("redis://[::1", "no URL"),
        ("redis:///0", "names no host"),
        ("redis://:pw@/0", "names no host"),
        ("redis://h:0", "port 0"),
        ("redis://h:70000", "port"),
        ("redis://h:six", "port"),
        ("redis://a,b/0", "several hosts"),
        ("redis+cluster://a,,b", "names no host"),
        ("redis://h/first", "database that is no number"),
        ("redis://h/0/1", "more after the database"),
        ("redis://h/0?retry=1", "not supported (none are)"),
        ("redis://h/0#1", "not supported"),
        ("redis://h/0?ssl_ca_certs=/ca", "not supported"),
        ("redis://h/0?sentinel_password=x", "not supported"),
        ("redis+sentinel://a,b", "names no master"),
        ("redis+sentinel://a,b/", "names no master"),
        ("redis+cluster://a/1", "a Cluster has only 0"),
        ("unix://host/run/sock", "names a host"),
        ("unix:///", "names no socket"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("rediss://h?ssl_check_hostname=maybe", "ssl_check_hostname"),
        ("rediss://h?ssl_certfile=/me.crt", "both"),
        ("rediss://h?ssl_ca_certs=/a&ssl_ca_data=b", "not both"),
    ],
)
def test_anything_else_is_refused_with_what_is_wrong(url, want):
    with pytest.raises(InvalidAddress) as refused:
        Address.parse(url)
    assert want in str(refused.value)
    assert refused.value.field in ("url", "tls")


def test_tls_options_for_a_url_without_tls_are_refused():
    with pytest.raises(InvalidAddress, match="rediss"):
        Address.parse("redis://h", tls=Tls(ca_file="/ca.crt"))


@pytest.mark.parametrize(
    "url", ["redis://u:hunter2@h/x", "redis://u:hunter2@h:0", "hunter2://", "redis://hunter2/0?hunter2=1"]
)
def test_a_refusal_repeats_nothing_of_the_address(url):
    with pytest.raises(InvalidAddress) as refused:
        Address.parse(url)
    assert "hunter2" not in f"{refused.value} {refused.value!r}"


def test_no_password_is_in_the_repr():
    address = Address.parse("rediss+sentinel://u:hunter2@h/main?sentinel_password=hunter3&ssl_ca_data=hunter4")
    assert "hunter" not in repr(address)
