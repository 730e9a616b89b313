"""Fixed parts of a C program: types, what C lacks on vectors, and the function that XLA calls."""

__all__ = ["DRIVER", "PRELUDE"]

PRELUDE = """\
#define __FAST_MATH__ 1 /* math.h then says which of its functions exist for vectors */
#include <math.h>
#undef __FAST_MATH__
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include "xla/ffi/api/c_api.h"

#define TYPE(name, type) typedef type name; typedef type v##name __attribute__((vector_size(W * sizeof(type))));
TYPE(f32, float) TYPE(f64, double) TYPE(i8, int8_t) TYPE(i16, int16_t) TYPE(i32, int32_t) TYPE(i64, int64_t)
TYPE(u8, uint8_t) TYPE(u16, uint16_t) TYPE(u32, uint32_t) TYPE(u64, uint64_t)
typedef uint8_t b8;

/* Lanes from which threads pay, lanes that count, then lengths of loops. */
#define NUMBER(k) ((const int32_t *)in[INS - 1])[k]

/* A truth value of each lane: all bits of a word, whose width suits the program's numbers. */
#define MASK(x) __builtin_convertvector(x, vb8)
#define ALL(type, x) ((x) - (type){})
#define SELECT(type, bits, m, a, b) \\
    ((type)(((bits)(a) & __builtin_convertvector(m, bits)) | ((bits)(b) & ~__builtin_convertvector(m, bits))))
#define LOAD(type, from) ({ type x_; memcpy(&x_, from, sizeof x_); x_; })
#define STORE(type, to, x) ({ const type x_ = x; memcpy(to, &x_, sizeof x_); })

#define VECTOR1(type, f) static inline v##type v_##f(v##type x) { type a[W], y[W]; memcpy(a, &x, sizeof a); \\
    _Pragma("omp simd") for (int l = 0; l < W; l++) y[l] = f(a[l]); v##type r; memcpy(&r, y, sizeof r); return r; }
#define VECTOR2(type, f) static inline v##type v_##f(v##type x, v##type z) { type a[W], b[W], y[W]; \\
    memcpy(a, &x, sizeof a); memcpy(b, &z, sizeof b); _Pragma("omp simd") for (int l = 0; l < W; l++) \\
    y[l] = f(a[l], b[l]); v##type r; memcpy(&r, y, sizeof r); return r; }

/* XLA's conversion of floats to integers: nan is 0, and what is too large the largest. */
#define WHOLE(from, to, least, most) \\
    static inline to from##_##to(from x) { \\
    return x != x ? 0 : x <= (from)least ? least : x >= (from)most ? most : (to)x; } \\
    static inline v##to v_##from##_##to(v##from x) { v##to y; for (int l = 0; l < W; l++) y[l] = from##_##to(x[l]); \\
    return y; }

/* Arrays of a call and the next block, or lane of a queue, that nobody has; lanes up to n only fill up a block. */
typedef struct { char **in, **out; long n, lanes, blocks, next; } Call;
"""

# Runs the blocks of a call on some threads, this one among them; each takes the next block that nobody has.
DRIVER = """
static void *work(void *of)
{
    Call *call = of;
#ifdef PATIENCE
    block(call);
#else
    for (long k; (k = __atomic_fetch_add(&call->next, 1, __ATOMIC_RELAXED)) < call->blocks;)
        block(call->in, call->out, k * BLOCK, call->n);
#endif
    return 0;
}

XLA_FFI_Error *HANDLER(XLA_FFI_CallFrame *frame)
{
    XLA_FFI_Extension_Base *extension = frame->extension_start;
    if (extension && extension->type == XLA_FFI_Extension_Metadata) {
        XLA_FFI_Metadata *metadata = ((XLA_FFI_Metadata_Extension *)extension)->metadata;
        metadata->api_version.major_version = XLA_FFI_API_MAJOR;
        metadata->api_version.minor_version = XLA_FFI_API_MINOR;
        return 0;
    }
    char *in[INS + 1], *out[OUTS + 1];
    for (int i = 0; i < INS; i++) in[i] = ((XLA_FFI_Buffer *)frame->args.args[i])->data;
    for (int i = 0; i < OUTS; i++) out[i] = ((XLA_FFI_Buffer *)frame->rets.rets[i])->data;
    const XLA_FFI_Buffer *lanes = frame->OF_LANES;
    const long n = lanes->dims[lanes->rank - 1];
    Call call = {in, out, n, NUMBER(1), n / BLOCK, 0};
    pthread_t threads[THREADS];
    int extra = 0;
    if (n > NUMBER(0))
        while (extra < THREADS - 1 && extra < call.blocks - 1) {
            if (pthread_create(&threads[extra], 0, work, &call)) break;
            extra++;
        }
    work(&call);
    while (extra) pthread_join(threads[--extra], 0);
#ifdef PATIENCE
    fill_up(&call);
#endif
    return 0;
}
"""
