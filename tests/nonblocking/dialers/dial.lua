-- SPDX-License-Identifier: Apache-2.0
-- dial.lua HOST PORT COUNT: LuaSocket, which connects without blocking; one line of SECONDS RESULT for each connection.
local socket = require("socket")

for _ = 1, tonumber(arg[3]) do
    local began = socket.gettime()
    local connection = socket.tcp()
    connection:settimeout(3)
    local result
    local connected, message = connection:connect(arg[1], tonumber(arg[2]))
    if connected then
        connection:send("WHO\n")
        result, message = connection:receive()
    end
    connection:close()
    print(string.format("%.6f %s", socket.gettime() - began, result or message))
end
