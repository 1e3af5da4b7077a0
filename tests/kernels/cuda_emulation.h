// CUDA kernels on a CPU, for tests: put in front of a source of kernels/, compiled by g++.
//
// Blocks run one after another, the threads of a block as fibers that give way at barriers and at
// warp operations. A block in which nobody can go on ends with an error, and so does a warp whose
// lanes meet in different operations. Blind to races between barriers except through the order of
// the threads, which the caller can turn round; blind to rounding of `ex2.approx` and to speed.

#pragma once
#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>

#define PCMAMBA_EMULATED
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__
#define __restrict__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __shared__ static  // the blocks take turns

struct dim3 { unsigned x, y, z; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace emulation {

constexpr int WARP = 32, MOST_THREADS = 1024, MEETINGS = 64;
constexpr size_t STACK = 64 * 1024, MOST_SHARED = 227 * 1024;
constexpr unsigned UNSET = 0xffu;

// What the lanes of `mask` bring to one warp operation.
struct Meeting {
    unsigned mask = 0, arrived = 0, left = 0;
    int complete = 0;
    const char* what = nullptr;
    uint64_t value[WARP];
};

struct Fiber {
    dim3 thread;
    int number;
    bool finished, started;
    const int* flag;  // waits as long as *flag == until
    int until;
    jmp_buf state;
    ucontext_t context;
    char* stack = nullptr;
};

struct Barrier {
    int generation = 0, arrived = 0, sum = 0, all = 1, result_sum = 0, result_all = 1;
};

alignas(128) inline unsigned char dynamic_shared[MOST_SHARED];
inline Fiber fibers[MOST_THREADS];
inline Meeting meetings[MOST_THREADS / WARP][MEETINGS];
inline Barrier barrier;
inline Fiber* current;
inline jmp_buf scheduler;
inline ucontext_t base;
inline int alive;
inline const char* failure;
inline dim3 block_index, block_size, grid_size;
inline void (*body)(void*);
inline void* arguments;

inline void give_way() {
    if (_setjmp(current->state) == 0) _longjmp(scheduler, 1);
}

[[noreturn]] inline void fail(const char* why) {
    failure = why;
    current->finished = true;
    _longjmp(scheduler, 1);
}

inline void wait_while(const int* flag, int value) {
    current->flag = flag;
    current->until = value;
    if (*flag == value) give_way();
    current->flag = nullptr;
}

inline void release_barrier() {
    barrier.result_sum = barrier.sum;
    barrier.result_all = barrier.all;
    barrier.arrived = barrier.sum = 0;
    barrier.all = 1;
    ++barrier.generation;
}

inline void sync_threads(int predicate = 0) {
    const int generation = barrier.generation;
    barrier.sum += predicate != 0;
    barrier.all &= predicate != 0;
    if (++barrier.arrived == alive) release_barrier();
    wait_while(&barrier.generation, generation);
}

inline Meeting& join(const char* what, unsigned mask, uint64_t value) {
    const int lane = current->number % WARP;
    if (!(mask >> lane & 1)) fail("a lane is not in the mask of its own warp operation");
    Meeting* room = nullptr;
    Meeting* open = nullptr;
    for (Meeting& m : meetings[current->number / WARP]) {
        if (m.mask == mask && !m.complete && !(m.arrived >> lane & 1)) { open = &m; break; }
        if (m.mask == 0 && !room) room = &m;
    }
    if (!open) {
        if (!room) fail("too many warp operations are open at once");
        open = room;
        open->mask = mask;
        open->arrived = open->left = 0;
        open->complete = 0;
        open->what = what;
    }
    if (strcmp(open->what, what)) fail("the lanes of a mask meet in different warp operations");
    open->value[lane] = value;
    open->arrived |= 1u << lane;
    if (open->arrived == mask) open->complete = 1;
    wait_while(&open->complete, 0);
    return *open;
}

inline void leave(Meeting& meeting) {
    meeting.left |= 1u << (current->number % WARP);
    if (meeting.left == meeting.mask) meeting.mask = 0;
}

template <class T> uint64_t to_bits(T value) {
    static_assert(sizeof(T) <= 8);
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    return bits;
}

template <class T> T from_bits(uint64_t bits) {
    T value;
    memcpy(&value, &bits, sizeof(T));
    return value;
}

// Value of lane `source`; a lane outside the mask has none, and the caller's own comes back.
template <class T> T exchange(const char* what, unsigned mask, T value, int source) {
    Meeting& m = join(what, mask, to_bits(value));
    const T result = mask >> source & 1 ? from_bits<T>(m.value[source]) : value;
    leave(m);
    return result;
}

template <class T, class F> T fold(const char* what, unsigned mask, T value, F combine) {
    Meeting& m = join(what, mask, to_bits(value));
    T result{};
    bool first = true;
    for (int lane = 0; lane < WARP; ++lane) {
        if (!(mask >> lane & 1)) continue;
        const T other = from_bits<T>(m.value[lane]);
        result = first ? other : combine(result, other);
        first = false;
    }
    leave(m);
    return result;
}

inline void enter() {
    body(arguments);
    current->finished = true;
    --alive;
    if (alive > 0 && barrier.arrived == alive) release_barrier();
    _longjmp(scheduler, 1);
}

inline void resume(Fiber& fiber) {
    current = &fiber;
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.state, 1);
    fiber.started = true;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
    setcontext(&fiber.context);
}

inline void prepare(int threads) {
    memset(dynamic_shared, UNSET, sizeof dynamic_shared);
    memset(static_cast<void*>(meetings), 0, sizeof meetings);
    barrier = Barrier{};
    alive = threads;
    for (int t = 0; t < threads; ++t) {
        Fiber& f = fibers[t];
        if (!f.stack) f.stack = static_cast<char*>(malloc(STACK));
        f.number = t;
        f.thread = {t % block_size.x, t / block_size.x % block_size.y,
                    t / (block_size.x * block_size.y)};
        f.finished = f.started = false;
        f.flag = nullptr;
    }
}

inline const char* run_block(int threads, bool backwards) {
    prepare(threads);
    while (alive > 0) {
        bool moved = false;
        for (int i = 0; i < threads; ++i) {
            Fiber& f = fibers[backwards ? threads - 1 - i : i];
            if (f.finished || (f.flag && *f.flag == f.until)) continue;
            moved = true;
            resume(f);
            if (failure) return failure;
        }
        if (!moved) return "the threads of a block wait for one another for ever";
    }
    return nullptr;
}

// Runs the grid; returns null or what went wrong.
inline const char* launch(void (*kernel)(void*), void* values, dim3 grid, dim3 block, int backwards) {
    body = kernel;
    arguments = values;
    grid_size = grid;
    block_size = block;
    failure = nullptr;
    const int threads = block.x * block.y * block.z;
    if (threads < 1 || threads > MOST_THREADS) return "a block must have 1 to 1024 threads";
    for (unsigned z = 0; z < grid.z; ++z)
        for (unsigned y = 0; y < grid.y; ++y)
            for (unsigned x = 0; x < grid.x; ++x) {
                block_index = {x, y, z};
                if (const char* why = run_block(threads, backwards)) return why;
            }
    return nullptr;
}

}  // namespace emulation

#define threadIdx (emulation::current->thread)
#define blockIdx (emulation::block_index)
#define blockDim (emulation::block_size)
#define gridDim (emulation::grid_size)
constexpr int warpSize = emulation::WARP;

inline void __syncthreads() { emulation::sync_threads(); }
inline int __syncthreads_count(int p) {
    emulation::sync_threads(p);
    return emulation::barrier.result_sum;
}
inline int __syncthreads_or(int p) { return __syncthreads_count(p) > 0; }
inline int __syncthreads_and(int p) {
    emulation::sync_threads(p);
    return emulation::barrier.result_all;
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    emulation::leave(emulation::join("__syncwarp", mask, 0));
}

template <class T> T __shfl_sync(unsigned mask, T v, int source, int width = 32) {
    const int lane = emulation::current->number % 32;
    return emulation::exchange("__shfl_sync", mask, v, (lane & ~(width - 1)) + (source & (width - 1)));
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int distance, int width = 32) {
    const int lane = emulation::current->number % 32, source = lane ^ distance;
    const bool inside = source < (lane & ~(width - 1)) + width;
    return emulation::exchange("__shfl_xor_sync", mask, v, inside ? source : lane);
}
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned distance, int width = 32) {
    const int lane = emulation::current->number % 32, source = lane - int(distance);
    return emulation::exchange("__shfl_up_sync", mask, v, source < (lane & ~(width - 1)) ? lane : source);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned distance, int width = 32) {
    const int lane = emulation::current->number % 32, source = lane + int(distance);
    return emulation::exchange("__shfl_down_sync", mask, v, source > (lane | (width - 1)) ? lane : source);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    emulation::Meeting& m = emulation::join("__ballot_sync", mask, predicate != 0);
    unsigned result = 0;
    for (int lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1 && m.value[lane]) result |= 1u << lane;
    emulation::leave(m);
    return result;
}
inline int __any_sync(unsigned mask, int p) { return __ballot_sync(mask, p) != 0; }
inline int __all_sync(unsigned mask, int p) { return __ballot_sync(mask, p) == mask; }
template <class T> unsigned __match_any_sync(unsigned mask, T v) {
    emulation::Meeting& m = emulation::join("__match_any_sync", mask, emulation::to_bits(v));
    unsigned result = 0;
    for (int lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1 && m.value[lane] == emulation::to_bits(v)) result |= 1u << lane;
    emulation::leave(m);
    return result;
}
template <class T> T __reduce_max_sync(unsigned mask, T v) {
    return emulation::fold("__reduce_max_sync", mask, v, [](T a, T b) { return a > b ? a : b; });
}
template <class T> T __reduce_min_sync(unsigned mask, T v) {
    return emulation::fold("__reduce_min_sync", mask, v, [](T a, T b) { return a < b ? a : b; });
}
template <class T> T __reduce_add_sync(unsigned mask, T v) {
    return emulation::fold("__reduce_add_sync", mask, v, [](T a, T b) { return T(a + b); });
}
template <class T> T __reduce_or_sync(unsigned mask, T v) {
    return emulation::fold("__reduce_or_sync", mask, v, [](T a, T b) { return T(a | b); });
}
template <class T> T __reduce_and_sync(unsigned mask, T v) {
    return emulation::fold("__reduce_and_sync", mask, v, [](T a, T b) { return T(a & b); });
}

template <class T> T atomicAdd(T* p, T v) { const T old = *p; *p = old + v; return old; }
template <class T> T atomicMin(T* p, T v) { const T old = *p; *p = v < old ? v : old; return old; }
template <class T> T atomicMax(T* p, T v) { const T old = *p; *p = v > old ? v : old; return old; }
template <class T> T atomicExch(T* p, T v) { const T old = *p; *p = v; return old; }
template <class T> T atomicCAS(T* p, T expected, T v) {
    const T old = *p;
    if (old == expected) *p = v;
    return old;
}

inline unsigned __float_as_uint(float v) { return emulation::from_bits<unsigned>(emulation::to_bits(v)); }
inline int __float_as_int(float v) { return emulation::from_bits<int>(emulation::to_bits(v)); }
inline float __uint_as_float(unsigned v) { return emulation::from_bits<float>(emulation::to_bits(v)); }
inline float __int_as_float(int v) { return emulation::from_bits<float>(emulation::to_bits(v)); }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __clz(int v) { return v ? __builtin_clz(unsigned(v)) : 32; }
inline int __clzll(long long v) { return v ? __builtin_clzll((unsigned long long)v) : 64; }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __ffsll(long long v) { return __builtin_ffsll(v); }
inline unsigned __brev(unsigned v) {
    unsigned r = 0;
    for (int i = 0; i < 32; ++i) r |= (v >> i & 1) << (31 - i);
    return r;
}
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline float __frcp_rn(float a) { return 1.f / a; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float a) { return expf(a); }
inline float __logf(float a) { return logf(a); }
inline float rsqrtf(float a) { return 1.f / sqrtf(a); }
inline float __saturatef(float a) { return a > 0.f ? (a < 1.f ? a : 1.f) : 0.f; }
inline int __float2int_rd(float a) { return int(floorf(a)); }
inline int __float2int_rn(float a) { return int(nearbyintf(a)); }
inline int __float2int_rz(float a) { return int(a); }
inline float __int2float_rn(int a) { return float(a); }
template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> void __stcs(T* p, T v) { *p = v; }
template <class T> void __stcg(T* p, T v) { *p = v; }
template <class A, class B> auto min(A a, B b) { return a < b ? a : b; }
template <class A, class B> auto max(A a, B b) { return a > b ? a : b; }
