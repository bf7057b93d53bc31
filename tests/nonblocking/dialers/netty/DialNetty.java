// SPDX-License-Identifier: Apache-2.0
import io.netty.bootstrap.Bootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioSocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** DialNetty.java nio|epoll HOST PORT COUNT PARALLEL: Netty's two transports; one line of SECONDS RESULT for each connection. */
public class DialNetty {
    static final int LIMIT_MS = 3000;

    static CompletableFuture<String> ask(Bootstrap bootstrap, String host, int port) {
        CompletableFuture<String> result = new CompletableFuture<>();
        long began = System.nanoTime();
        Bootstrap one = bootstrap.clone().handler(new ChannelInboundHandlerAdapter() {
            @Override
            public void channelActive(ChannelHandlerContext context) {
                context.writeAndFlush(Unpooled.copiedBuffer("WHO\n", StandardCharsets.US_ASCII));
            }

            @Override
            public void channelRead(ChannelHandlerContext context, Object message) {
                result.complete(((ByteBuf) message).toString(StandardCharsets.US_ASCII).trim());
                ((ByteBuf) message).release();
                context.close();
            }

            @Override
            public void channelInactive(ChannelHandlerContext context) {
                result.complete("closed");
            }

            @Override
            public void exceptionCaught(ChannelHandlerContext context, Throwable error) {
                result.completeExceptionally(error);
            }
        });
        Channel channel = one.connect(host, port).addListener(done -> {
            if (!done.isSuccess()) {
                result.completeExceptionally(done.cause());
            }
        }).channel();
        return result.orTimeout(2 * LIMIT_MS, TimeUnit.MILLISECONDS).exceptionally(error -> {
            channel.close();
            Throwable cause = error.getCause() != null ? error.getCause() : error;
            return cause instanceof TimeoutException ? "TimeoutException" : cause.getClass().getSimpleName();
        }).thenApply(told -> String.format(Locale.ROOT, "%.6f %s", (System.nanoTime() - began) / 1e9, told));
    }

    public static void main(String[] arguments) throws Exception {
        boolean epoll = arguments[0].equals("epoll");
        int port = Integer.parseInt(arguments[2]);
        int parallel = Integer.parseInt(arguments[4]);
        EventLoopGroup group = epoll ? new EpollEventLoopGroup(2) : new NioEventLoopGroup(2);
        Bootstrap bootstrap = new Bootstrap().group(group)
            .channel(epoll ? EpollSocketChannel.class : NioSocketChannel.class)
            .option(ChannelOption.CONNECT_TIMEOUT_MILLIS, LIMIT_MS);
        for (int left = Integer.parseInt(arguments[3]); left > 0; left -= parallel) {
            List<CompletableFuture<String>> answers = new ArrayList<>();
            for (int i = 0; i < Math.min(parallel, left); i++) {
                answers.add(ask(bootstrap, arguments[1], port));
            }
            for (CompletableFuture<String> answer : answers) {
                System.out.println(answer.get());
            }
        }
        System.exit(0);
    }
}
