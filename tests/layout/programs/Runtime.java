// 200 threads, stacks that overflow in them and in the first, a null pointer, garbage, a child.
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;

public class Runtime {
    static int descend(int depth) {
        return depth == 0 ? 0 : 1 + descend(depth - 1);
    }

    static String overflow() {
        try {
            return "depth " + descend(Integer.MAX_VALUE);
        } catch (StackOverflowError error) {
            return error.getClass().getSimpleName();
        }
    }

    static String fault(String nothing) {
        try {
            return "length " + nothing.length();
        } catch (NullPointerException error) {
            return error.getClass().getSimpleName();
        }
    }

    public static void main(String[] arguments) throws Exception {
        AtomicLong sum = new AtomicLong(), overflows = new AtomicLong();
        CountDownLatch all = new CountDownLatch(200);
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            int depth = 500 + i;
            Thread thread = new Thread(() -> {
                all.countDown();
                try {
                    all.await();
                } catch (InterruptedException error) {
                    return;
                }
                sum.addAndGet(descend(depth));
                if (overflow().equals("StackOverflowError")) overflows.incrementAndGet();
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) thread.join();
        Map<Integer, String> heap = new HashMap<>();
        for (int round = 0; round < 5; round++)
            for (int i = 0; i < 200000; i++) heap.put(i, "text " + i + round);
        System.gc();
        int code = new ProcessBuilder("sh", "-c", "exit 7").start().waitFor();
        System.out.println(sum + " " + overflows + " " + overflow() + " " + fault(null) + " " + heap.size() + " " + code);
    }
}
