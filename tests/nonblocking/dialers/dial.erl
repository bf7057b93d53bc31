%% SPDX-License-Identifier: Apache-2.0
%% dial.erl HOST PORT COUNT: gen_tcp of Erlang's own poll threads; one line of SECONDS RESULT for each connection.
-module(dial).
-export([main/1]).

main([Host, Port, Count]) ->
    {ok, Address} = inet:parse_address(Host),
    lists:foreach(fun(_) -> one(Address, list_to_integer(Port)) end, lists:seq(1, list_to_integer(Count))),
    halt(0).

one(Address, Port) ->
    Began = erlang:monotonic_time(microsecond),
    Result =
        case gen_tcp:connect(Address, Port, [binary, {active, false}, {packet, line}], 3000) of
            {ok, Socket} ->
                ok = gen_tcp:send(Socket, <<"WHO\n">>),
                case gen_tcp:recv(Socket, 0, 3000) of
                    {ok, Line} -> gen_tcp:close(Socket), string:trim(binary_to_list(Line));
                    {error, Reason} -> atom_to_list(Reason)
                end;
            {error, Reason} ->
                atom_to_list(Reason)
        end,
    io:format("~.6f ~s~n", [(erlang:monotonic_time(microsecond) - Began) / 1.0e6, Result]).
