# SPDX-License-Identifier: Apache-2.0
# dial.tcl HOST PORT COUNT: socket -async in Tcl's event loop; one line of SECONDS RESULT for each connection.
lassign $argv host port count

proc settle {value} {
    if {$::result eq ""} {
        set ::result $value
    }
}

proc connected {channel} {
    fileevent $channel writable {}
    set error [fconfigure $channel -error]
    if {$error ne ""} {
        settle $error
    } else {
        puts $channel WHO
        flush $channel
        fileevent $channel readable [list answered $channel]
    }
}

proc answered {channel} {
    if {[gets $channel line] >= 0} {
        settle $line
    } elseif {[eof $channel]} {
        settle closed
    }
}

for {set i 0} {$i < $count} {incr i} {
    set result ""
    set began [clock microseconds]
    set channel [socket -async $host $port]
    fconfigure $channel -blocking 0
    fileevent $channel writable [list connected $channel]
    set timer [after 3000 {settle timeout}]
    vwait result
    after cancel $timer
    close $channel
    puts [format "%.6f %s" [expr {([clock microseconds] - $began) / 1e6}] $result]
}
