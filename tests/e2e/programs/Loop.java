// SPDX-License-Identifier: Apache-2.0
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.Socket;

/** Loop.java HOST PORT COUNT: one connection after the other; prints the pod that answered each. */
public class Loop {
    public static void main(String[] arguments) throws Exception {
        for (int left = Integer.parseInt(arguments[2]); left > 0; left--) {
            try (Socket socket = new Socket()) {
                socket.connect(new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1])), 5000);
                socket.getOutputStream().write("WHO\n".getBytes());
                System.out.println(new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine());
            }
        }
    }
}
