# SPDX-License-Identifier: Apache-2.0
# dial.pl HOST PORT COUNT: IO::Socket with a time-out, which connects without blocking; one line of SECONDS RESULT for each.
use strict;
use warnings;
use IO::Socket::INET;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($host, $port, $count) = @ARGV;
$| = 1;
for (1 .. $count) {
    my $began = clock_gettime(CLOCK_MONOTONIC);
    my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 3);
    my $result = $socket ? "closed" : "$@";
    if ($socket) {
        print $socket "WHO\n";
        my $answer = <$socket>;
        chomp($result = $answer) if defined $answer;
    }
    $result =~ s/\s+/ /g;
    printf "%.6f %s\n", clock_gettime(CLOCK_MONOTONIC) - $began, $result;
}
