/* The benchmarks' problems by hand: lanes in SIMD vectors, vectors in blocks, blocks shared out among the cores.
 *
 * A vector holds WIDTH lanes (GCC's vector extension: AVX-512 where the machine has it, two AVX2 registers elsewhere),
 * a block GROUPS vectors, whose state stays in registers over the whole time loop; several groups hide the latency of
 * the arithmetic. Arrays are component by component: start[dim], value[n] (the swept parameter), end[dim][n], with n a
 * multiple of BLOCK. Compile with -DGROUPS=... and, for lorenz96, -DSITES=...
 */
#include <math.h>
#include <string.h>

#ifndef GROUPS
#define GROUPS 1
#endif
#ifndef SITES
#define SITES 10
#endif
#define WIDTH 16
#define BLOCK (WIDTH * GROUPS)
#define EACH for (int g = 0; g < GROUPS; g++)
#define FOR_BLOCKS _Pragma("omp parallel for schedule(dynamic, 4)") for (long at = 0; at < n; at += BLOCK)

typedef float vec __attribute__((vector_size(4 * WIDTH)));

static inline vec all(float x) { return x - (vec){}; }

static inline vec load(const float *from)
{
    vec x;
    memcpy(&x, from, sizeof x);
    return x;
}

static inline void store(float *to, vec x) { memcpy(to, &x, sizeof x); }

/* FitzHugh-Nagumo neuron, RK4; shared = {a, b, tau}, value = I. */

static inline void neuron(vec v, vec w, vec I, const float *shared, vec *dv, vec *dw)
{
    *dv = v - v * v * v / 3.0f - w + I;
    *dw = (v + shared[0] - shared[1] * w) / shared[2];
}

void neuron_rk4(long n, long n_steps, float dt, const float *shared, const float *start, const float *value, float *end)
{
    FOR_BLOCKS {
        vec v[GROUPS], w[GROUPS], I[GROUPS];
        EACH { v[g] = all(start[0]); w[g] = all(start[1]); I[g] = load(value + at + WIDTH * g); }
        for (long step = 0; step < n_steps; step++) EACH {
            vec a1, a2, a3, a4, b1, b2, b3, b4;
            neuron(v[g], w[g], I[g], shared, &a1, &b1);
            neuron(v[g] + dt / 2 * a1, w[g] + dt / 2 * b1, I[g], shared, &a2, &b2);
            neuron(v[g] + dt / 2 * a2, w[g] + dt / 2 * b2, I[g], shared, &a3, &b3);
            neuron(v[g] + dt * a3, w[g] + dt * b3, I[g], shared, &a4, &b4);
            v[g] += dt / 6 * (a1 + 2.0f * (a2 + a3) + a4);
            w[g] += dt / 6 * (b1 + 2.0f * (b2 + b3) + b4);
        }
        EACH { store(end + at + WIDTH * g, v[g]); store(end + n + at + WIDTH * g, w[g]); }
    }
}

/* Lorenz system; shared = {sigma, beta}, value = rho. */

static inline void lorenz(const vec *x, vec rho, const float *shared, vec *k)
{
    k[0] = shared[0] * (x[1] - x[0]);
    k[1] = x[0] * (rho - x[2]) - x[1];
    k[2] = x[0] * x[1] - shared[1] * x[2];
}

/* Tsitouras 2011; the last row is the fifth-order solution, at which the next step's first stage is evaluated. */
static const float TSIT5[6][6] = {
    {0.161f},
    {-0.008480655492356989f, 0.335480655492357f},
    {2.8971530571054935f, -6.359448489975075f, 4.3622954328695815f},
    {5.325864828439257f, -11.748883564062828f, 7.4955393428898365f, -0.09249506636175525f},
    {5.86145544294642f, -12.92096931784711f, 8.159367898576159f, -0.071584973281401f, -0.028269050394068383f},
    {0.09646076681806523f, 0.01f, 0.4798896504144996f, 1.379008574103742f, -3.290069515436081f, 2.324710524099774f},
};

void lorenz_tsit5(long n, long n_steps, float dt, const float *shared, const float *start, const float *value,
                  float *end)
{
    FOR_BLOCKS {
        vec x[GROUPS][3], rho[GROUPS];
        EACH {
            rho[g] = load(value + at + WIDTH * g);
            for (int i = 0; i < 3; i++) x[g][i] = all(start[i]);
        }
        for (long step = 0; step < n_steps; step++) EACH {
            vec k[6][3], y[3];
            lorenz(x[g], rho[g], shared, k[0]);
#pragma GCC unroll 8
            for (int stage = 0; stage < 6; stage++) {
#pragma GCC unroll 8
                for (int i = 0; i < 3; i++) {
                    vec slope = TSIT5[stage][0] * k[0][i];
#pragma GCC unroll 8
                    for (int j = 1; j <= stage; j++) slope += TSIT5[stage][j] * k[j][i];
                    y[i] = x[g][i] + dt * slope;
                }
                if (stage < 5) lorenz(y, rho[g], shared, k[stage + 1]);
            }
            for (int i = 0; i < 3; i++) x[g][i] = y[i];
        }
        EACH for (int i = 0; i < 3; i++) store(end + i * n + at + WIDTH * g, x[g][i]);
    }
}

/* Lorenz 1996, SITES sites, RK4; value = F. State and slopes stay in the first-level cache. */

static inline vec site(const vec *x, int i, vec F)
{
    vec next = x[(i + 1) % SITES], before = x[(i + SITES - 1) % SITES], second = x[(i + SITES - 2) % SITES];
    return (next - second) * before - x[i] + F;
}

void lorenz96_rk4(long n, long n_steps, float dt, const float *shared, const float *start, const float *value,
                  float *end)
{
    FOR_BLOCKS EACH {
        vec x[SITES], y[SITES], z[SITES], sum[SITES], F = load(value + at + WIDTH * g);
        for (int i = 0; i < SITES; i++) x[i] = all(start[i]);
        for (long step = 0; step < n_steps; step++) {
#pragma GCC unroll 64
            for (int i = 0; i < SITES; i++) { vec k = site(x, i, F); sum[i] = k; y[i] = x[i] + dt / 2 * k; }
#pragma GCC unroll 64
            for (int i = 0; i < SITES; i++) { vec k = site(y, i, F); sum[i] += 2.0f * k; z[i] = x[i] + dt / 2 * k; }
#pragma GCC unroll 64
            for (int i = 0; i < SITES; i++) { vec k = site(z, i, F); sum[i] += 2.0f * k; y[i] = x[i] + dt * k; }
#pragma GCC unroll 64
            for (int i = 0; i < SITES; i++) x[i] += dt / 6 * (sum[i] + site(y, i, F));
        }
        for (int i = 0; i < SITES; i++) store(end + i * n + at + WIDTH * g, x[i]);
    }
}

/* Logistic map; value = r. */

void logistic(long n, long n_steps, float dt, const float *shared, const float *start, const float *value, float *end)
{
    FOR_BLOCKS {
        vec x[GROUPS], r[GROUPS];
        EACH { x[g] = all(start[0]); r[g] = load(value + at + WIDTH * g); }
        for (long step = 0; step < n_steps; step++) EACH { vec rx = r[g] * x[g]; x[g] = rx - rx * x[g]; }
        EACH store(end + at + WIDTH * g, x[g]);
    }
}

/* Two learners, gradient descent; shared = {tau, sigma_k, sigma_w}, value = gamma_k then gamma_w. */

void two_learners(long n, long n_steps, float dt, const float *shared, const float *start, const float *value,
                  float *end)
{
    float tau2 = shared[0] * shared[0], sigma_k = shared[1], sigma_w = shared[2];
    FOR_BLOCKS {
        vec k[GROUPS], w[GROUPS], rate_k[GROUPS], rate_w[GROUPS];
        EACH {
            k[g] = all(start[0]);
            w[g] = all(start[1]);
            rate_k[g] = load(value + at + WIDTH * g);
            rate_w[g] = load(value + n + at + WIDTH * g);
        }
        for (long step = 0; step < n_steps; step++) EACH {
            vec pull = tau2 * (1.0f - k[g] * w[g]);
            vec slope_k = sigma_k * k[g] - pull * w[g], slope_w = sigma_w * w[g] - pull * k[g];
            k[g] -= rate_k[g] * slope_k;
            w[g] -= rate_w[g] * slope_w;
        }
        EACH { store(end + at + WIDTH * g, k[g]); store(end + n + at + WIDTH * g, w[g]); }
    }
}

/* Lyapunov spectrum of the Lorenz system: RK4, three tangent vectors, Gram-Schmidt every step. */

/* Steps whose growth is multiplied up before one logarithm is taken: |log growth| stays far below float's 87. */
#define LOG_EVERY 16

static inline vec inverse_root(vec x)
{
    float in[WIDTH], out[WIDTH];
    store(in, x);
    for (int i = 0; i < WIDTH; i++) out[i] = 1.0f / sqrtf(in[i]);
    return load(out);
}

static inline vec logarithm(vec x)
{
    float in[WIDTH], out[WIDTH];
    store(in, x);
    for (int i = 0; i < WIDTH; i++) out[i] = logf(in[i]);
    return load(out);
}

static inline vec dot(const vec *a, const vec *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

static inline void tangent(const vec *x, vec rho, const float *shared, const vec *q, vec *k)
{
    k[0] = shared[0] * (q[1] - q[0]);
    k[1] = (rho - x[2]) * q[0] - q[1] - x[0] * q[2];
    k[2] = x[1] * q[0] + x[0] * q[1] - shared[1] * q[2];
}

/* One RK4 step of the state x and its tangent vectors q. */
static inline void lorenz_step(vec *x, vec q[3][3], vec rho, const float *shared, float dt)
{
    const float reach[4] = {0, dt / 2, dt / 2, dt}, weight[4] = {dt / 6, dt / 3, dt / 3, dt / 6};
    vec y[4][3], k[3], sum[3];
    for (int i = 0; i < 3; i++) { y[0][i] = x[i]; sum[i] = x[i]; }
#pragma GCC unroll 4
    for (int stage = 0; stage < 4; stage++) {
        lorenz(y[stage], rho, shared, k);
        for (int i = 0; i < 3; i++) {
            sum[i] += weight[stage] * k[i];
            if (stage < 3) y[stage + 1][i] = x[i] + reach[stage + 1] * k[i];
        }
    }
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
        vec u[3], end[3];
        for (int i = 0; i < 3; i++) { u[i] = q[j][i]; end[i] = q[j][i]; }
#pragma GCC unroll 4
        for (int stage = 0; stage < 4; stage++) {
            tangent(y[stage], rho, shared, u, k);
            for (int i = 0; i < 3; i++) {
                end[i] += weight[stage] * k[i];
                if (stage < 3) u[i] = q[j][i] + reach[stage + 1] * k[i];
            }
        }
        for (int i = 0; i < 3; i++) q[j][i] = end[i];
    }
    for (int i = 0; i < 3; i++) x[i] = sum[i];
}

/* Orthonormal rows q; growth is multiplied by the squares of their lengths before. */
static inline void gram_schmidt(vec q[3][3], vec growth[3])
{
#pragma GCC unroll 3
    for (int j = 0; j < 3; j++) {
#pragma GCC unroll 3
        for (int i = 0; i < j; i++) {
            vec overlap = dot(q[i], q[j]);
            for (int c = 0; c < 3; c++) q[j][c] -= overlap * q[i][c];
        }
        vec square = dot(q[j], q[j]), scale = inverse_root(square);
        growth[j] *= square;
        for (int c = 0; c < 3; c++) q[j][c] *= scale;
    }
}

/* start = state, then the frame row by row; end[3][n] = exponents. dim = 3. */
void lorenz_spectrum(long n, long n_steps, float dt, const float *shared, const float *start, const float *value,
                     float *end, long n_transient)
{
    FOR_BLOCKS EACH {
        vec x[3], q[3][3], rho = load(value + at + WIDTH * g), growth[3], sum[3];
        for (int i = 0; i < 3; i++) {
            x[i] = all(start[i]);
            growth[i] = all(1);
            sum[i] = all(0);
            for (int j = 0; j < 3; j++) q[j][i] = all(start[3 + 3 * j + i]);
        }
        for (long step = 0; step < n_transient; step++) {
            lorenz_step(x, q, rho, shared, dt);
            gram_schmidt(q, growth);
            for (int i = 0; i < 3; i++) growth[i] = all(1);
        }
        for (long step = 0; step < n_steps; step += LOG_EVERY) {
            long last = step + LOG_EVERY < n_steps ? step + LOG_EVERY : n_steps;
            for (long at_step = step; at_step < last; at_step++) {
                lorenz_step(x, q, rho, shared, dt);
                gram_schmidt(q, growth);
            }
            for (int i = 0; i < 3; i++) { sum[i] += logarithm(growth[i]) / 2.0f; growth[i] = all(1); }
        }
        for (int i = 0; i < 3; i++) store(end + i * n + at + WIDTH * g, sum[i] / (dt * n_steps));
    }
}
