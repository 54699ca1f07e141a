from sampan.network import files


def test_hosts_names_the_container_and_what_the_user_added():
    text = files.hosts([("10.0.0.2", ("abc", "web"))], [("db", "10.1.1.1")])
    assert text.startswith("127.0.0.1\tlocalhost\n::1\t")
    assert text.endswith("10.1.1.1\tdb\n10.0.0.2\tabc web\n")


def test_hostname():
    assert files.hostname("web") == "web\n"


def test_loopback_resolvers_of_the_host_are_of_no_use():
    host = "# c\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.53\nsearch a b\n"
    assert files.resolv_conf(host) == "nameserver 10.0.0.53\nsearch a b\n"
    assert files.resolv_conf("nameserver 127.0.0.1\n") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_options_of_the_user_replace_the_hosts():
    host = "nameserver 10.0.0.53\nsearch a\noptions timeout:1\n"
    text = files.resolv_conf(host, dns=["9.9.9.9"], search=["x.org"], options=["ndots:2"])
    assert text == "nameserver 9.9.9.9\nsearch x.org\noptions ndots:2\n"
    assert "search" not in files.resolv_conf(host, search=["."])


def test_user_defined_networks_ask_the_embedded_server():
    host = "nameserver 10.0.0.53\noptions edns0 ndots:3\n"
    text = files.resolv_conf(host, embedded=True)
    assert text == "nameserver 127.0.0.11\noptions edns0 ndots:0\n"
