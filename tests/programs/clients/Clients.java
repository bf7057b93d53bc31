// SPDX-License-Identifier: Apache-2.0
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Clients.java CLIENT HOST PORT COUNT: Java's own clients under the tests; prints the pod of each answer. */
public class Clients {
    static String host;
    static int port;
    static int count;

    public static void main(String[] arguments) throws Exception {
        host = arguments[1];
        port = Integer.parseInt(arguments[2]);
        count = Integer.parseInt(arguments[3]);
        switch (arguments[0]) {
            case "url" -> url();
            case "http" -> http();
            case "parallel" -> parallel();
            case "selector" -> selector();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    /** HttpURLConnection, a connection for each request. */
    static void url() throws Exception {
        System.setProperty("http.keepAlive", "false");
        for (int i = 0; i < count; i++) {
            HttpURLConnection connection = (HttpURLConnection) new URL("http", host, port, "/" + i).openConnection();
            connection.setConnectTimeout(5000);
            try (BufferedReader body = new BufferedReader(new InputStreamReader(connection.getInputStream()))) {
                System.out.println(body.readLine());
            }
        }
    }

    static HttpRequest request(int i) {
        return HttpRequest.newBuilder(URI.create("http://" + host + ":" + port + "/" + i)).build();
    }

    /** HttpClient: a client for each request, then one with a kept connection for all. */
    static void http() throws Exception {
        for (int i = 1; i < count; i++) {
            System.out.print(HttpClient.newHttpClient().send(request(i), BodyHandlers.ofString()).body());
        }
        HttpClient kept = HttpClient.newHttpClient();
        for (int i = 0; i < count; i++) {
            System.out.print(kept.send(request(i), BodyHandlers.ofString()).body());
        }
    }

    /** HttpClient: all requests at once, a connection for each client. */
    static void parallel() throws Exception {
        List<CompletableFuture<String>> answers = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            answers.add(HttpClient.newHttpClient().sendAsync(request(i), BodyHandlers.ofString()).thenApply(one -> one.body()));
        }
        for (CompletableFuture<String> answer : answers) {
            System.out.print(answer.get());
        }
    }

    /** Non-blocking channels, all of them in one Selector; prints the peer too. */
    static void selector() throws Exception {
        Selector selector = Selector.open();
        for (int i = 0; i < count; i++) {
            SocketChannel channel = SocketChannel.open();
            channel.configureBlocking(false);
            boolean connected = channel.connect(new InetSocketAddress(host, port));
            channel.register(selector, connected ? SelectionKey.OP_WRITE : SelectionKey.OP_CONNECT);
        }
        for (int left = count; left > 0;) {
            if (selector.select(5000) == 0) {
                throw new IllegalStateException(left + " answers are missing");
            }
            for (SelectionKey key : selector.selectedKeys()) {
                SocketChannel channel = (SocketChannel) key.channel();
                if (key.isConnectable() && channel.finishConnect()) {
                    key.interestOps(SelectionKey.OP_WRITE);
                } else if (key.isWritable()) {
                    channel.write(ByteBuffer.wrap("WHO\n".getBytes()));
                    key.interestOps(SelectionKey.OP_READ);
                } else if (key.isReadable()) {
                    ByteBuffer answer = ByteBuffer.allocate(100);
                    channel.read(answer);
                    InetSocketAddress peer = (InetSocketAddress) channel.getRemoteAddress();
                    System.out.println(new String(answer.array(), 0, answer.position()).trim() + " " + peer.getPort());
                    channel.close();
                    left--;
                }
            }
            selector.selectedKeys().clear();
        }
        selector.close(); // only then the channels' descriptors are closed
    }
}
