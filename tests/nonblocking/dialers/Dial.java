// SPDX-License-Identifier: Apache-2.0
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousSocketChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Dial.java url|http|selector|aio HOST PORT COUNT: Java's ways to connect, one line of SECONDS RESULT for each connection. */
public class Dial {
    static final int LIMIT_MS = 3000;
    static String host;
    static int port;

    interface Way {
        String ask() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        host = arguments[1];
        port = Integer.parseInt(arguments[2]);
        Way way = switch (arguments[0]) {
            case "url" -> Dial::url;
            case "http" -> Dial::http;
            case "selector" -> Dial::selector;
            case "aio" -> Dial::aio;
            default -> throw new IllegalArgumentException(arguments[0]);
        };
        dial(way, Integer.parseInt(arguments[3]));
        System.exit(0); // threads of HttpClient
    }

    static void dial(Way way, int count) {
        for (int i = 0; i < count; i++) {
            long began = System.nanoTime();
            String result;
            try {
                result = way.ask().trim();
            } catch (Exception error) {
                Throwable cause = error instanceof ExecutionException ? error.getCause() : error;
                result = cause.getClass().getSimpleName();
            }
            System.out.printf(Locale.ROOT, "%.6f %s%n", (System.nanoTime() - began) / 1e9, result);
        }
    }

    static String url() throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL("http", host, port, "/").openConnection();
        connection.setRequestProperty("Connection", "close");
        connection.setConnectTimeout(LIMIT_MS);
        connection.setReadTimeout(LIMIT_MS);
        return new String(connection.getInputStream().readAllBytes());
    }

    static String http() throws Exception {
        HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofMillis(LIMIT_MS)).build();
        return client.send(HttpRequest.newBuilder(URI.create("http://" + host + ":" + port + "/")).build(), BodyHandlers.ofString()).body();
    }

    static String selector() throws Exception {
        try (Selector selector = Selector.open(); SocketChannel channel = SocketChannel.open()) {
            channel.configureBlocking(false);
            channel.register(selector, channel.connect(new InetSocketAddress(host, port)) ? SelectionKey.OP_WRITE : SelectionKey.OP_CONNECT);
            ByteBuffer answer = ByteBuffer.allocate(100);
            for (;;) {
                if (selector.select(LIMIT_MS) == 0) {
                    throw new TimeoutException();
                }
                SelectionKey key = selector.selectedKeys().iterator().next();
                selector.selectedKeys().clear();
                if (key.isConnectable() && channel.finishConnect()) {
                    key.interestOps(SelectionKey.OP_WRITE);
                } else if (key.isWritable()) {
                    channel.write(ByteBuffer.wrap("WHO\n".getBytes()));
                    key.interestOps(SelectionKey.OP_READ);
                } else if (key.isReadable()) {
                    if (channel.read(answer) < 0) {
                        throw new IOException("closed");
                    }
                    return new String(answer.array(), 0, answer.position());
                }
            }
        }
    }

    static String aio() throws Exception {
        try (AsynchronousSocketChannel channel = AsynchronousSocketChannel.open()) {
            channel.connect(new InetSocketAddress(host, port)).get(LIMIT_MS, TimeUnit.MILLISECONDS);
            channel.write(ByteBuffer.wrap("WHO\n".getBytes())).get(LIMIT_MS, TimeUnit.MILLISECONDS);
            ByteBuffer answer = ByteBuffer.allocate(100);
            channel.read(answer).get(LIMIT_MS, TimeUnit.MILLISECONDS);
            return new String(answer.array(), 0, answer.position());
        }
    }
}
