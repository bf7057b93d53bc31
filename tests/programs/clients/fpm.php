<?php
// SPDX-License-Identifier: Apache-2.0
// Behind PHP-FPM: ?how=stream|socket|curl|sockets|redis|name&host=HOST&port=PORT asks the Service and prints the pod; ?how=pid the
// worker, ?how=opcache whether this file is compiled for good.
[$how, $host, $port] = [$_GET['how'], $_GET['host'] ?? '', (int) ($_GET['port'] ?? 0)];
header('Content-Type: text/plain');
switch ($how) {
    case 'stream':
        echo file_get_contents("http://$host:$port/", false, stream_context_create(['http' => ['timeout' => 5]]));
        break;
    case 'socket':
        $connection = fsockopen($host, $port, $code, $text, 5);
        fwrite($connection, "WHO\n");
        echo fgets($connection);
        break;
    case 'curl':
        $curl = curl_init("http://$host:$port/");
        curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 5]);
        echo curl_exec($curl);
        break;
    case 'sockets':
        $socket = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
        socket_connect($socket, $host, $port);
        socket_write($socket, "WHO\n");
        echo socket_read($socket, 100, PHP_NORMAL_READ);
        break;
    case 'redis':
        $redis = new Redis();
        $redis->connect($host, $port, 5);
        echo $redis->get('pod'), "\n";
        break;
    case 'opcache':
        echo opcache_is_script_cached(__FILE__) ? 'cached' : 'not cached', "\n";
        break;
    case 'name':
        echo gethostbyname($host), "\n";
        break;
    case 'pid':
        // A connection first, so that this worker has met the Service.
        file_get_contents("http://$host:$port/");
        echo getmypid(), "\n";
}
