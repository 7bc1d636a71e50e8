%% The works of messages with Erlang's processes: erl -noshell -run works main WORK N [KIND]
-module(works).
-export([main/1]).

main([Work, N | Kind]) ->
    ok = work(list_to_atom(Work), list_to_integer(N), Kind),
    init:stop().

work(one_way, N, [Kind]) ->
    Parent = self(),
    Message = message(Kind),
    spawn(fun() -> repeat(N, fun() -> Parent ! {message, Message} end) end),
    repeat(N, fun() -> receive {message, _} -> ok end end);
work(round_trip, N, []) ->
    Echo = spawn(fun() -> echo() end),
    repeat(N, fun() -> Echo ! {self(), N}, receive {Echo, N} -> ok end end),
    Echo ! stop,
    ok;
work(create, N, []) ->
    Parent = self(),
    repeat(N, fun() ->
        {Pid, Monitor} = spawn_monitor(fun() -> Parent ! {message, 1} end),
        receive {message, 1} -> ok end,
        receive {'DOWN', Monitor, process, Pid, normal} -> ok end
    end);
work(ring, N, []) ->
    Below = chain(1000),
    repeat(N, fun() -> Below ! {self(), N}, receive {Below, N} -> ok end end);
work(waiting, N, []) ->
    Echoes = [spawn(fun() -> echo() end) || _ <- lists:seq(1, N)],
    [Echo ! {self(), 1} || Echo <- Echoes],
    [receive {Echo, 1} -> ok end || Echo <- Echoes],
    [Echo ! stop || Echo <- Echoes],
    ok;

%% Percentiles of N round trips beside so many endless loops, in seconds, as JSON.
work(latency, N, [Loops]) ->
    repeat(list_to_integer(Loops), fun() -> spawn(fun() -> loop(0) end) end),
    Echo = spawn(fun() -> echo() end),
    Times = lists:sort([round_trip(Echo) || _ <- lists:seq(1, N)]),
    At = fun(Share) -> lists:nth(min(N, trunc(N * Share) + 1), Times) / 1.0e9 end,
    io:format("{\"p50\": ~w, \"p99\": ~w, \"p99.9\": ~w}~n", [At(0.5), At(0.99), At(0.999)]),
    ok.

round_trip(Echo) ->
    Begun = erlang:monotonic_time(nanosecond),
    Echo ! {self(), 1},
    receive {Echo, 1} -> erlang:monotonic_time(nanosecond) - Begun end.

loop(N) -> loop(N + 1).

repeat(0, _) -> ok;
repeat(N, Action) -> Action(), repeat(N - 1, Action).

echo() ->
    receive
        {From, Message} -> From ! {self(), Message}, echo();
        stop -> ok
    end.

%% A process with so many below it, itself included: a token goes down, and up again.
chain(1) -> spawn(fun() -> echo() end);
chain(Length) ->
    spawn(fun() -> relay(chain(Length - 1)) end).

relay(Below) ->
    receive
        {From, Token} ->
            Below ! {self(), Token},
            receive {Below, Token} -> From ! {self(), Token} end,
            relay(Below)
    end.

%% What is larger than 64 bytes is shared by Erlang, and not copied.
message("integer") -> 1;
message("table") -> #{1 => 1, 2 => 2, x => <<"y">>};
message("text") -> binary:copy(<<"x">>, 1000);
message("array") -> lists:seq(1, 1000);
message("block") -> binary:copy(<<"x">>, 1000000);
message(Size) -> binary:copy(<<"x">>, list_to_integer(Size)).
