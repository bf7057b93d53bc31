<?php
// SPDX-License-Identifier: Apache-2.0
// dial.php HOST PORT COUNT: streams with a time-out, which connect without blocking; one line of SECONDS RESULT for each.
[, $host, $port, $count] = $argv;
for ($i = 0; $i < $count; $i++) {
    $began = hrtime(true);
    $stream = @stream_socket_client("tcp://$host:$port", $number, $message, 3);
    if ($stream) {
        fwrite($stream, "WHO\n");
        $result = trim((string)fgets($stream)) ?: 'closed';
        fclose($stream);
    } else {
        $result = $message;
    }
    printf("%.6f %s\n", (hrtime(true) - $began) / 1e9, $result);
}
