// SPDX-License-Identifier: Apache-2.0

// Well-known clients of Go, with a connection of its own for each question.
//
//	goclients serve ADDRESS           gRPC's health service
//	goclients grpc|pgx ADDRESS COUNT  who answers, a line each: of gRPC the peer, of PostgreSQL its cluster_name
//
// It begins when the file is there that AFTER names.
package main

// #include <unistd.h>
import "C"

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(address string) {
	listener, err := net.Listen("tcp", address)
	check(err)
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	check(server.Serve(listener))
}

func askGRPC(address string) string {
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	defer connection.Close()
	var from peer.Peer
	_, err = healthpb.NewHealthClient(connection).Check(context.Background(), &healthpb.HealthCheckRequest{}, grpc.Peer(&from))
	check(err)
	return from.Addr.String()
}

func askPostgres(database *sql.DB) (name string) {
	check(database.QueryRow("SHOW cluster_name").Scan(&name))
	return name
}

func main() {
	C.getppid()
	if os.Args[1] == "serve" {
		serve(os.Args[2])
	}
	count, err := strconv.Atoi(os.Args[3])
	check(err)
	for after := os.Getenv("AFTER"); after != ""; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(after); err == nil {
			break
		}
	}
	database, err := sql.Open("pgx", "postgres://postgres@"+os.Args[2]+"/postgres?sslmode=disable")
	check(err)
	database.SetMaxIdleConns(-1)
	for i := 0; i < count; i++ {
		if os.Args[1] == "grpc" {
			fmt.Println(askGRPC(os.Args[2]))
		} else {
			fmt.Println(askPostgres(database))
		}
	}
}
