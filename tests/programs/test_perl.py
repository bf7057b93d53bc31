# SPDX-License-Identifier: Apache-2.0
"""perl: sockets that block, HTTP::Tiny, which asks for its peer, gethostbyname(), and children that connect too."""
import pytest

from tests.programs.common import World

pytestmark = pytest.mark.clusters("double")

SOCKETS = """
use IO::Socket::INET;
my ($host, $port) = @ARGV;
for (1..30) {
    my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 5) or die $!;
    print $socket "WHO\\n";
    print scalar <$socket>;
}
"""
HTTP = """
use HTTP::Tiny;
my ($host, $port) = @ARGV;
for (1..30) {
    my $answer = HTTP::Tiny->new(keep_alive => 0)->get("http://$host:$port/");
    print "$answer->{status} $answer->{content}";
}
"""
BY_HAND = """
use Socket;
my ($host, $port) = @ARGV;
for (1..30) {
    my ($name, $aliases, $type, $length, $address) = gethostbyname($host) or die "no such host";
    socket(my $socket, PF_INET, SOCK_STREAM, 0) or die $!;
    connect($socket, pack_sockaddr_in($port, $address)) or die $!;
    my ($peer_port, $peer) = unpack_sockaddr_in(getpeername($socket));
    print join(" ", $type, $length, inet_ntoa($address), inet_ntoa($peer), $peer_port), "\\n";
}
"""
FORKS = """
use IO::Socket::INET;
$| = 1;
my ($host, $port) = @ARGV;
sub ask {
    my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 5) or die $!;
    print $socket "WHO\\n";
    print scalar <$socket>;
}
ask();
for (1..4) {
    if (!fork()) {
        ask() for 1..6;
        exit 0;
    }
}
1 while wait() > 0;
ask() for 1..5;
"""


@pytest.mark.parametrize("by", ["vip", "name"])
@pytest.mark.parametrize(
    "program, uneven", [(SOCKETS, 1), (HTTP, 1), (BY_HAND, 1), (FORKS, 5)], ids=["sockets", "http", "gethostbyname", "forks"]
)
def test_perl(world: World, program: str, uneven: int, by: str) -> None:
    web = world.web()
    world.both(["perl", "-e", program, getattr(web, by), web.port], {web: 30}, uneven)
