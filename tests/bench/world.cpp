/* A game server's world as in large C++ engines: actors with components of many sizes, names in
 * hash tables, land in chunks, and ticks in which some of them are replaced by others.
 *
 * world NAME THREADS own|queue
 *
 * The world is the same in each copy, except for NAME. Land and actors are made in jobs: "own"
 * gives each thread the same jobs each time, with "queue" a thread takes the next one that is left,
 * as job systems do. With ARENAS defined, an engine's allocator stands in for malloc: each thread
 * cuts blocks of 16 sizes from 1 MiB of its own, and gives none back. With RESERVED, what thread N
 * cuts from has its place from the start. */
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace {

constexpr int JOBS = 64, ACTORS = 220, TICKS = 8, CHUNK_CELLS = 16 * 16 * 64;

/* Each job has numbers of its own, so that they do not depend on who does it (splitmix64). */
class Numbers {
  public:
    explicit Numbers(uint64_t seed) : state(seed) {
    }
    uint64_t next() {
        uint64_t word = state += 0x9e3779b97f4a7c15;
        word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
        word = (word ^ word >> 27) * 0x94d049bb133111eb;
        return word ^ word >> 31;
    }
    size_t below(size_t limit) {
        return next() % limit;
    }

  private:
    uint64_t state;
};

struct Component {
    virtual ~Component() = default;
    virtual size_t weight() const = 0;
};

/* 16 to 496 bytes. */
template <size_t words> struct Sized : Component {
    explicit Sized(Numbers &numbers) {
        for (uint64_t &word : data)
            word = numbers.next();
    }
    size_t weight() const override {
        return words;
    }
    uint64_t data[words];
};

std::unique_ptr<Component> make_component(Numbers &numbers) {
    switch (numbers.below(6)) {
    case 0:
        return std::make_unique<Sized<1>>(numbers);
    case 1:
        return std::make_unique<Sized<3>>(numbers);
    case 2:
        return std::make_unique<Sized<6>>(numbers);
    case 3:
        return std::make_unique<Sized<14>>(numbers);
    case 4:
        return std::make_unique<Sized<30>>(numbers);
    default:
        return std::make_unique<Sized<61>>(numbers);
    }
}

struct Actor {
    Actor(std::string title, Numbers &numbers) : name(std::move(title)) {
        for (size_t i = 2 + numbers.below(6); i > 0; i--)
            components.push_back(make_component(numbers));
        for (size_t i = numbers.below(8); i > 0; i--)
            tags["tag " + std::to_string(numbers.below(1000)) + " of " + name] = int(i);
    }
    std::string name;
    std::vector<std::unique_ptr<Component>> components;
    std::unordered_map<std::string, int> tags;
};

struct Region {
    std::vector<uint16_t> land;
    std::unordered_map<std::string, std::unique_ptr<Actor>> actors;
};

std::unique_ptr<Region> make_region(int number) {
    auto region = std::make_unique<Region>();
    Numbers numbers(uint64_t(number) * 1000003);
    for (int i = 0; i < CHUNK_CELLS; i++)
        region->land.push_back(uint16_t(numbers.below(40)));
    for (int i = 0; i < ACTORS; i++) {
        std::string name = "actor " + std::to_string(number) + "." + std::to_string(i);
        region->actors.emplace(name, std::make_unique<Actor>(name, numbers));
    }
    for (int tick = 0; tick < TICKS; tick++)
        for (int i = 0; i < ACTORS / 8; i++) {
            std::string name =
                "actor " + std::to_string(number) + "." + std::to_string(numbers.below(ACTORS));
            region->actors[name] = std::make_unique<Actor>(name, numbers);
        }
    return region;
}

std::vector<std::unique_ptr<Region>> world(JOBS);

} // namespace

#if defined(ARENAS) || defined(RESERVED)
namespace {
constexpr size_t UNIT = 32, CLASSES = 16, ARENA = 1 << 20;
thread_local char *arena_start, *arena_end;
thread_local void *free_blocks[CLASSES + 1];

void *map(size_t bytes) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *found = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (found == MAP_FAILED)
        abort();
    return found;
}

char *cut(size_t bytes) {
    arena_start += bytes;
    return arena_start - bytes;
}

#ifdef RESERVED
constexpr size_t SPACE = size_t(1) << 30, SPACES = 16;
char *spaces;

void begin_thread(size_t number) {
    /* The first thread has allocated before main. */
    if (arena_start != nullptr)
        return;
    if (spaces == nullptr)
        spaces = static_cast<char *>(map(SPACES * SPACE));
    arena_start = spaces + number * SPACE;
    arena_end = arena_start + SPACE;
}

void refill() {
    begin_thread(0);
}
void *large(size_t bytes) {
    if (arena_start == nullptr)
        refill();
    return cut((bytes + UNIT - 1) / UNIT * UNIT);
}
void free_large(void *, size_t) {
}
#else
void begin_thread(size_t) {
}
void refill() {
    arena_start = static_cast<char *>(map(ARENA));
    arena_end = arena_start + ARENA;
}
void *large(size_t bytes) {
    return map(bytes);
}
void free_large(void *block, size_t bytes) {
    munmap(block, bytes);
}
#endif
} // namespace

void *operator new(size_t bytes) {
    size_t kind = (bytes + UNIT - 1) / UNIT;
    if (kind > CLASSES)
        return large(bytes);
    if (free_blocks[kind] != nullptr) {
        void *block = free_blocks[kind];
        free_blocks[kind] = *static_cast<void **>(block);
        return block;
    }
    if (size_t(arena_end - arena_start) < kind * UNIT)
        refill();
    return cut(kind * UNIT);
}

void operator delete(void *block, size_t bytes) noexcept {
    size_t kind = (bytes + UNIT - 1) / UNIT;
    if (block == nullptr)
        return;
    if (kind > CLASSES)
        return free_large(block, bytes);
    *static_cast<void **>(block) = free_blocks[kind];
    free_blocks[kind] = block;
}

/* Who deletes without the size loses the block: engines do so at the end. */
void operator delete(void *) noexcept {
}
#else
static void begin_thread(size_t) {
}
#endif

int main(int count, char **words) {
    int thread_count = count == 4 ? atoi(words[2]) : 0;
    if (thread_count < 1 || thread_count > 15)
        return 2;
    bool is_queue = std::string(words[3]) == "queue";
    std::atomic<int> next{0};
    auto work = [&](int thread) {
        begin_thread(size_t(thread) + (thread_count > 1));
        for (int job = is_queue ? next++ : thread; job < JOBS;
             job = is_queue ? next++ : job + thread_count)
            world[size_t(job)] = make_region(job);
    };
    if (thread_count == 1)
        work(0);
    else {
        std::vector<std::thread> threads;
        for (int i = 0; i < thread_count; i++)
            threads.emplace_back([&, i] {
                work(i);
                /* They wait for the next jobs, so their heaps stay theirs. */
                static std::atomic<int> done{0};
                if (++done == thread_count)
                    printf("ready %s\n", words[1]), fflush(stdout);
                for (;;)
                    pause();
            });
        for (std::thread &thread : threads)
            thread.join();
    }
    printf("ready %s\n", words[1]);
    fflush(stdout);
    for (;;)
        pause();
}
