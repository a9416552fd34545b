import java.io.BufferedReader;
import java.io.DataOutputStream;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Server that lives as Minecraft's does: registries, workers that make chunks, 20 ticks a second. */
public class World {
    static final int SECTIONS = 16, SPAWN_RADIUS = 8, WORKERS = 3, ENTITIES = 400, SEED = 42;
    static final long TICK_NANOS = 50_000_000L;

    record State(String block, Map<String, String> properties, int id) {}

    record Section(List<State> palette, long[] indices) {}

    record Chunk(int x, int z, Section[] sections, int[] heights, Map<String, Integer> counts) {}

    static final class Entity {
        double x, z;
        final Map<String, Object> memory = new HashMap<>();
    }

    static final List<State> STATES = new ArrayList<>();
    static final Map<String, List<State>> BLOCKS = new HashMap<>();
    static final Map<String, List<String>> RECIPES = new HashMap<>();
    static final Map<Long, CompletableFuture<Chunk>> CHUNKS = new ConcurrentHashMap<>();
    static final ExecutorService WORK = Executors.newFixedThreadPool(WORKERS);
    static final List<Entity> ALIVE = new ArrayList<>();

    static void register() {
        String[] kinds = {"stairs", "slab", "wall", "fence", "door", "log", "leaves", "ore"};
        String[] sides = {"north", "east", "south", "west"};
        for (int material = 0; material < 150; material++)
            for (String kind : kinds) {
                String name = "world:material_" + material + "_" + kind;
                List<State> states = new ArrayList<>();
                for (String facing : sides)
                    for (int level = 0; level < 4; level++) {
                        var properties = Map.of("facing", facing, "level", "" + level, "wet", "no");
                        State state = new State(name, properties, STATES.size());
                        states.add(state);
                        STATES.add(state);
                    }
                BLOCKS.put(name, states);
                RECIPES.put(name + "_recipe", List.of(name, "world:stick", "world:table"));
            }
    }

    static double noise(int x, int z) {
        double sum = 0;
        for (int octave = 1; octave <= 4; octave++)
            sum += Math.sin(x * 0.013 * octave + SEED) * Math.cos(z * 0.017 * octave) / octave;
        return sum;
    }

    static Chunk generate(int chunkX, int chunkZ) {
        int[] heights = new int[256];
        Section[] sections = new Section[SECTIONS];
        Map<String, Integer> counts = new HashMap<>();
        Random random = new Random(chunkX * 341873128712L + chunkZ * 132897987541L + SEED);
        for (int column = 0; column < 256; column++)
            heights[column] =
                100 + (int) (40 * noise(chunkX * 16 + column % 16, chunkZ * 16 + column / 16));
        for (int number = 0; number < SECTIONS; number++) {
            List<State> palette = new ArrayList<>();
            for (int i = 0; i < 16; i++)
                palette.add(STATES.get(random.nextInt(STATES.size())));
            long[] indices = new long[256];
            for (int block = 0; block < 4096; block++) {
                boolean solid = number * 16 + block / 256 < heights[block % 256];
                long index = solid ? (block * 31 + random.nextInt(3)) % 15 + 1 : 0;
                indices[block / 16] |= index << (block % 16 * 4);
                if (solid)
                    counts.merge(palette.get((int) index).block(), 1, Integer::sum);
            }
            sections[number] = new Section(palette, indices);
        }
        return new Chunk(chunkX, chunkZ, sections, heights, counts);
    }

    static CompletableFuture<Chunk> chunk(int x, int z) {
        return CHUNKS.computeIfAbsent(
            ((long) x << 32) ^ (z & 0xffffffffL),
            key -> CompletableFuture.supplyAsync(() -> generate(x, z), WORK));
    }

    static void tick(Random random) {
        for (Entity entity : ALIVE) {
            entity.x = Math.max(-96, Math.min(96, entity.x + random.nextDouble() - 0.5));
            entity.z = Math.max(-96, Math.min(96, entity.z + random.nextDouble() - 0.5));
            int x = (int) Math.floor(entity.x), z = (int) Math.floor(entity.z);
            Chunk under = chunk(x >> 4, z >> 4).join();
            int height = under.heights()[(z & 15) * 16 + (x & 15)];
            entity.memory.put("path", List.of(x, height, z));
        }
    }

    static void serve(Socket socket) {
        try (socket) {
            var in = new BufferedReader(new InputStreamReader(socket.getInputStream()));
            var out = new DataOutputStream(socket.getOutputStream());
            for (String line; (line = in.readLine()) != null;) {
                String[] words = line.split(" ");
                Chunk chunk = chunk(Integer.parseInt(words[0]), Integer.parseInt(words[1])).join();
                var text = new StringBuilder();
                for (Section section : chunk.sections()) {
                    for (State state : section.palette())
                        text.append(state.block()).append(state.properties().get("facing"));
                    text.append(Arrays.hashCode(section.indices()));
                }
                byte[] bytes = text.toString().getBytes();
                out.writeInt(bytes.length);
                out.write(bytes);
                out.flush();
            }
        } catch (Exception error) {
            System.err.println(error);
        }
    }

    public static void main(String[] arguments) throws Exception {
        register();
        for (int x = -SPAWN_RADIUS; x <= SPAWN_RADIUS; x++)
            for (int z = -SPAWN_RADIUS; z <= SPAWN_RADIUS; z++)
                chunk(x, z);
        for (var made : CHUNKS.values())
            made.join();
        Random random = new Random(SEED);
        for (int i = 0; i < ENTITIES; i++)
            ALIVE.add(new Entity());
        var server = new ServerSocket(
            Integer.parseInt(arguments[1]), 50, InetAddress.getByName("127.0.0.1"));
        Thread accepting = new Thread(() -> {
            try {
                while (true) {
                    Socket socket = server.accept();
                    new Thread(() -> serve(socket)).start();
                }
            } catch (Exception error) {
                System.err.println(error);
            }
        });
        accepting.setDaemon(true);
        accepting.start();
        System.out.println("ready " + arguments[0]);
        for (long next = System.nanoTime();; next += TICK_NANOS) {
            tick(random);
            long rest = next + TICK_NANOS - System.nanoTime();
            if (rest > 0)
                Thread.sleep(rest / 1_000_000, (int) (rest % 1_000_000));
            else
                next = System.nanoTime();
        }
    }
}
