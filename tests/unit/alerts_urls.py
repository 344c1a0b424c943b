# ruff: noqa: RUF001 - lookalikes are what the table is about
"""The table of URLs that a webhook may or may not go to: 300 and more, most of them hostile.

A line is a verdict, a URL and, after `->`, what its name resolves to (8.8.8.8 where nothing is said). `no` is refused
for a policy that allows nothing special, `yes` is taken. `\\x` escapes are Python's.
"""

from __future__ import annotations

from dataclasses import dataclass

USUAL = "8.8.8.8"

TABLE = r"""
# Schemes.
no http://example.com/
no HTTP://EXAMPLE.COM/
no ftp://example.com/
no ftps://example.com/
no sftp://example.com/
no file:///etc/passwd
no file://localhost/etc/passwd
no gopher://127.0.0.1:6379/_FLUSHALL
no dict://127.0.0.1:11211/stats
no ldap://example.com/
no jar:https://example.com/!/
no data:text/plain,hello
no javascript:alert(1)
no ws://example.com/
no wss://example.com/
no unix:///var/run/docker.sock
no tftp://example.com/
no smb://example.com/share
no httpss://example.com/
no https+unix://example.com/
no view-source:https://example.com/
no blob:https://example.com/
# No scheme, no host.
no //example.com/
no example.com
no example.com:443/
no /hook
no ?hook
no https
no https:
no https:/
no https://
no https:///
no https:///path
no https:////example.com/
no https:example.com
no https:/example.com/
no https://?q
no https://#f
no https://:443/
no https://:/
no https://./
no https://../
no https://.../
# Someone before the at sign.
no https://user:password@example.com/
no https://user@example.com/
no https://:password@example.com/
no https://@example.com/
no https://:@example.com/
no https://example.com@10.0.0.1/
no https://10.0.0.1@example.com/
no https://example.com:443@127.0.0.1/
no https://example.com%40127.0.0.1@example.org/
no https://a@b@example.com/
# Ports.
no https://example.com:0/
no https://example.com:00000/
no https://example.com:65536/
no https://example.com:99999/
no https://example.com:port/
no https://example.com:-1/
no https://example.com:+443/
no https://example.com:4 43/
no https://example.com:0x1bb/
no https://example.com:4.4/
no https://example.com:443:443/
no https://example.com:８０/
no https://example.com:٤٤٣/
# Fragments.
no https://example.com/#fragment
no https://example.com#@127.0.0.1/
no https://example.com/#@127.0.0.1/
# Characters that readers of URLs disagree on.
no https://exa mple.com/
no https://example.com/a b
no https://example.com\\@10.0.0.1/
no https://example.com\\.evil.example/
no https://example.com\\/../
no https:\\\\example.com\\
no https://127.0.0.1\\.example.com/
no https://example.com\t/
no https://exa\nmple.com/
no https://example.com\r\nHost:%20evil/
no https://example.com/\r\nX-Injected:%201
no https://example.com/\x00
no https://example.com/\x7f
no https://example.com\x00.evil.example/
no https://example.com%00.evil.example/
no https://example.com%0d%0a/
no https://example.com%2f@127.0.0.1/
no https://example.com%2fevil/
no https://example%2ecom/
no https://%65xample.com/
no https://%31%32%37.0.0.1/
no https://127.0.0.1%2f.example.com/
no https://example.com%23.evil.example/
no https://<script>.example/
no https://example.com/<b>
no https://example.com/"
no https://example.com/`id`
no https://example.com/{x}
no https://example.com/a|b
no https://example.com/a^b
no https://exa$mple.com/
no https://example.com,127.0.0.1/
no https://example.com;127.0.0.1/
no https://example.com&127.0.0.1/
no https://(example.com)/
no https://'example.com'/
no https://!example.com/
no https://*.example.com/
no https://~example.com/
# Names that are none.
no https://-example.com/
no https://example-.com/
no https://exa_mple..com/
no https://.example.com/
no https://example.com../
no https://example..com/
no https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example/
# Loopback, usual and odd.
no https://127.0.0.1/
no https://127.0.0.1:8080/admin
no https://127.0.0.1:443/
no https://127.0.1.1/
no https://127.255.255.254/
no https://127.1/
no https://127.0.1/
no https://127.000.000.001/
no https://127.0.0.01/
no https://127.0.0.001/
no https://127.0.0.1./
no https://127.0.0.1../
no https://127.1./
no https://2130706433/
no https://2130706433./
no https://02130706433/
no https://4294967296/
no https://0x7f000001/
no https://0X7F000001/
no https://0x7f000001./
no https://0x7f.1/
no https://0x7f.0.1/
no https://0x7f.0.0.1/
no https://127.0x1/
no https://0x7f.0x0.0x0.0x1/
no https://0x000000007f.0.0.1/
no https://0177.0.0.1/
no https://0177.1/
no https://0177.0x0.0.1/
no https://017700000001/
no https://00000177.0.0.1/
no https://0x/
no https://0/
no https://00/
no https://0.0/
no https://0.0.0.0/
no https://0.0.0.0./
no https://0.1.2.3/
no https://0000::1/
no https://1.2.3/
no https://1.2.3.4.5/
no https://256.256.256.256/
no https://127.0.0.256/
no https://127.0.0.-1/
no https://example.127/
no https://example.0x7f/
no https://127.0.0.1.1/
# Other scripts and full stops.
no https://①②⑦.⓪.⓪.①/
no https://127。0。0。1/
no https://127．0．0．1/
no https://127｡0｡0｡1/
no https://１２７.０.０.１/
no https://𝟏𝟐𝟕.𝟎.𝟎.𝟏/
no https://⑫7.1/
no https://２１３０７０６４３３/
no https://０ｘ７ｆ.1/
no https://١٢٧.٠.٠.١/
no https://१२७.०.०.१/
no https://127.0.0.1\xad/
no https://127.0.0.\u200b1/
no https://xn--/
no https://xn--a/
no https://\u202eexample.com/
no https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/ -> 127.0.0.1
no https://localhost。/ -> 127.0.0.1
# Private networks, first and last.
no https://10.0.0.0/
no https://10.0.0.1/
no https://10.255.255.255/
no https://172.16.0.0/
no https://172.16.0.1/
no https://172.31.255.255/
no https://192.168.0.0/
no https://192.168.0.1/
no https://192.168.255.255/
no https://167772161/
no https://0xa000001/
no https://012.0.0.1/
no https://3232235521/
no https://0xc0.0xa8.0.1/
no https://192.168.1/
no https://10.1/
# Carriers' networks, link-local, metadata of clouds.
no https://100.64.0.0/
no https://100.64.0.1/
no https://100.100.100.200/latest/meta-data/
no https://100.127.255.255/
no https://169.254.0.1/
no https://169.254.169.253/
no https://169.254.169.254/latest/meta-data/
no https://169.254.169.254./latest/meta-data/
no https://169.254.170.2/v2/credentials
no https://169.254.255.255/
no https://2852039166/
no https://0xa9fea9fe/
no https://0xa9.0xfe.0xa9.0xfe/
no https://0251.0376.0251.0376/
no https://169.254.43518/
no https://169.16689662/
no https://168.63.129.16/machine
no https://192.0.0.192/opc/v2/instance/
no https://metadata.google.internal/computeMetadata/v1/ -> 169.254.169.254
no https://metadata/ -> 169.254.169.254
no https://instance-data.ec2.internal/ -> 169.254.169.254
no https://metadata.example/ -> fd00:ec2::254
no https://metadata.example/v1 -> fd20:ce::254
# Reserved for protocols, documentation, tests, multicast.
no https://192.0.0.1/
no https://192.0.0.8/
no https://192.0.0.170/
no https://192.0.2.1/
no https://192.31.196.1/
no https://192.52.193.1/
no https://192.88.99.1/
no https://192.175.48.1/
no https://198.18.0.1/
no https://198.19.255.255/
no https://198.51.100.1/
no https://203.0.113.1/
no https://224.0.0.1/
no https://224.0.0.251/
no https://239.255.255.255/
no https://240.0.0.1/
no https://254.255.255.255/
no https://255.255.255.255/
no https://4294967295/
no https://0xffffffff/
# IPv6: loopback, mapped, compatible, translated.
no https://[::]/
no https://[::1]/
no https://[::1]:8443/
no https://[0:0:0:0:0:0:0:1]/
no https://[0000:0000:0000:0000:0000:0000:0000:0001]/
no https://[::0.0.0.1]/
no https://[::127.0.0.1]/
no https://[::7f00:1]/
no https://[::ffff:127.0.0.1]/
no https://[::FFFF:127.0.0.1]/
no https://[::ffff:7f00:1]/
no https://[0:0:0:0:0:ffff:127.0.0.1]/
no https://[::ffff:10.0.0.1]/
no https://[::ffff:169.254.169.254]/
no https://[::ffff:a9fe:a9fe]/
no https://[::ffff:8.8.8.8]/
no https://[::ffff:0:127.0.0.1]/
no https://[64:ff9b::127.0.0.1]/
no https://[64:ff9b::7f00:1]/
no https://[64:ff9b::a9fe:a9fe]/
no https://[64:ff9b::808:808]/
no https://[64:ff9b:1::1]/
no https://[64:ff9b:1:fffe::7f00:1]/
no https://[2002:7f00:1::]/
no https://[2002:a00:1::1]/
no https://[2002:808:808::1]/
no https://[2001::1]/
no https://[2001:0:7f00:1::]/
no https://[2001:2::1]/
no https://[2001:10::1]/
no https://[2001:20::1]/
no https://[2001:db8::1]/
no https://[2620:4f:8000::1]/
no https://[3fff::1]/
no https://[5f00::1]/
no https://[100::1]/
no https://[fc00::1]/
no https://[fd00::1]/
no https://[fd00:ec2::254]/
no https://[fd20:ce::254]/
no https://[fe80::1]/
no https://[fe80::a9fe:a9fe]/
no https://[fe80::1%25eth0]/
no https://[fe80::1%eth0]/
no https://[::1%25lo]/
no https://[2606:4700:4700::1111%25eth0]/
no https://[fec0::1]/
no https://[ff00::1]/
no https://[ff02::1]/
no https://[ff05::1:3]/
no https://[4000::1]/
no https://[8000::1]/
no https://[::1
no https://::1/
no https://[]/
no https://[:]/
no https://[127.0.0.1]/
no https://[not-an-address]/
no https://[::1]example.com/
no https://example.com[::1]/
no https://[::1].example.com/
no https://[v1.fe80::a+en1]/
no https://[1:2:3:4:5:6:7:8:9]/
no https://[1::2::3]/
no https://[::12345]/
# Names that lead home, alone or among public addresses.
no https://localhost/ -> 127.0.0.1
no https://localhost./ -> 127.0.0.1
no https://LOCALHOST/ -> ::1
no https://localhost.localdomain/ -> 127.0.0.1 ::1
no https://anything.localhost/ -> 127.0.0.1
no https://127.0.0.1.nip.io/ -> 127.0.0.1
no https://10-0-0-1.sslip.io/ -> 10.0.0.1
no https://localtest.me/ -> 127.0.0.1 ::1
no https://spoofed.example/ -> 10.0.0.7
no https://printer.local/ -> 169.254.10.20
no https://intranet/ -> 192.168.1.10
no https://kubernetes.default.svc/ -> 10.96.0.1
no https://nat64.example/ -> 64:ff9b::a00:1
no https://mapped.example/ -> ::ffff:10.0.0.1
no https://mapped-public.example/ -> ::ffff:8.8.8.8
no https://compatible.example/ -> ::10.0.0.1
no https://sixtofour.example/ -> 2002:a00:1::1
no https://teredo.example/ -> 2001:0:4136:e378:8000:63bf:3fff:fdd2
no https://unique-local.example/ -> fd12:3456:789a::1
no https://link-local.example/ -> fe80::1
no https://multicast.example/ -> 224.0.0.251
no https://zero.example/ -> 0.0.0.0
no https://zero6.example/ -> ::
no https://cgnat.example/ -> 100.64.1.1
no https://mixed.example/ -> 8.8.8.8 10.0.0.1
no https://mixed6.example/ -> 2606:4700:4700::1111 fe80::1
no https://mixed46.example/ -> 8.8.8.8 ::1
no https://nothing.example/ ->
# What is taken.
yes https://example.com/
yes https://example.com
yes HTTPS://example.com/
yes https://EXAMPLE.com:8443/hook?key=a%20b
yes https://example.com:443/
yes https://example.com:65535/
yes https://example.com./
yes https://example.com?a=1
yes https://example.com?@127.0.0.1:80@example.org
yes https://example.com:/
yes https://example.com/@user
yes https://example.com/?to=@user
yes https://example.com/a@b/c
yes https://example.com//double
yes https://example.com/%2e%2e/
yes https://xn--bcher-kva.example/
yes https://bücher.example/
yes https://ⓔⓧⓐⓜⓟⓛⓔ.com/
yes https://thuốc.example/
yes https://hooks_1.example.com/
yes https://_hooks.example.com/
yes https://3com.example/
yes https://0x7f.example/
yes https://127.0.0.1.example/
yes https://10.example/
yes https://hooks.slack.com/services/T0/B0/x
yes https://8.8.8.8/
yes https://1.1.1.1:8443/
yes https://9.255.255.255/
yes https://11.0.0.0/
yes https://100.63.255.255/
yes https://100.128.0.0/
yes https://126.255.255.255/
yes https://128.0.0.0/
yes https://169.253.255.255/
yes https://169.255.0.0/
yes https://172.15.255.255/
yes https://172.32.0.0/
yes https://192.167.255.255/
yes https://192.169.0.0/
yes https://223.255.255.255/
yes https://[2606:4700:4700::1111]/
yes https://[2606:4700:4700::1111]:8443/
yes https://[2A00:1450:4001::1]/
yes https://[2001:200::1]/
yes https://six.example/ -> 2606:4700::1
yes https://both.example/ -> 8.8.8.8 2606:4700::1
"""


@dataclass(frozen=True)
class Row:
    """A URL, what its name resolves to, and whether a webhook may go there."""

    url: str
    addresses: tuple[str, ...]
    taken: bool


def _row(line: str) -> Row:
    verdict, _, rest = line.partition(" ")
    url, arrow, addresses = rest.partition(" ->")
    found = tuple(addresses.split()) if arrow else (USUAL,)
    return Row(_unescaped(url), found, {"yes": True, "no": False}[verdict])


def _unescaped(url: str) -> str:
    if "\\" not in url:
        return url
    return url.encode("ascii", "backslashreplace").decode("unicode_escape")


ROWS = tuple(_row(line) for line in TABLE.splitlines() if line and not line.startswith("#"))
