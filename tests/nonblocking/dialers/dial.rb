# SPDX-License-Identifier: Apache-2.0
# dial.rb tcp|http HOST PORT COUNT: Ruby's ways to connect with a time-out, one line of SECONDS RESULT for each connection.
require 'net/http'
require 'socket'

way, host, port, count = ARGV[0], ARGV[1], ARGV[2].to_i, ARGV[3].to_i
LIMIT_S = 3

ways = {
  'tcp' => lambda do
    Socket.tcp(host, port, connect_timeout: LIMIT_S) do |socket|
      socket.write("WHO\n")
      socket.gets.strip
    end
  end,
  'http' => lambda do
    http = Net::HTTP.new(host, port)
    http.open_timeout = http.read_timeout = LIMIT_S
    http.get('/', 'Connection' => 'close').body.strip
  end,
}

now = -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) }
$stdout.sync = true
count.times do
  began = now.call
  begin
    result = ways[way].call
  rescue SystemCallError, IOError, Timeout::Error => error
    result = error.class.name
  end
  puts format('%.6f %s', now.call - began, result)
end
