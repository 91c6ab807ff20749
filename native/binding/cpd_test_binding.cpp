// Hooks for tests: single pieces of the solver, on the calling thread.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "../solver/gemm64.h"
#include "../solver/gramian.h"
#include "../solver/mttkrp.h"
#include "../solver/nls.h"
#include "../solver/problem.h"
#include "../solver/symmetric_eigen.h"
#include "arguments.h"
#include "cpd_binding.h"
#include "job.h"

namespace polyadic::binding {
namespace {

using solver::Factors;
using solver::Gemm;

const JobControl kNever;  // is never cancelled

struct Arguments {
  explicit Arguments(const Napi::CallbackInfo& info) : object(info[0].As<Napi::Object>()) {}
  Napi::Object object;
  std::int64_t integer(const char* name) const { return integer_property(object, name); }
  std::vector<double> values(const char* name, std::int64_t length) const {
    const Span<double> span = float64_array(property(object, name), name);
    if (static_cast<std::int64_t>(span.length) != length) argument_error(name, std::to_string(length) + " elements");
    return {span.data, span.data + span.length};
  }
  // All factors one behind the other.
  Factors factors(const char* name, const std::vector<std::int64_t>& dims, std::int64_t rank) const {
    Factors result(dims, rank);
    const std::vector<double> all = values(name, result.size());
    std::copy(all.begin(), all.end(), result.data());
    return result;
  }
};

Napi::Value array(Napi::Env env, const double* data, std::int64_t length) {
  return to_float64_array(env, data, static_cast<std::size_t>(length));
}

// { m, n, k, a, b, transposeA, transposeB, threads } → C
Napi::Value gemm(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Arguments in(info);
    const std::int64_t m = in.integer("m"), n = in.integer("n"), k = in.integer("k");
    const std::vector<double> a = in.values("a", m * k), b = in.values("b", k * n);
    const bool ta = bool_property(in.object, "transposeA"), tb = bool_property(in.object, "transposeB");
    std::vector<double> c(static_cast<std::size_t>(m * n));
    Gemm(static_cast<int>(in.integer("threads")), kNever)
        .multiply(m, n, k, ta ? solver::row_major(a.data(), m).transposed() : solver::row_major(a.data(), k),
                  tb ? solver::row_major(b.data(), k).transposed() : solver::row_major(b.data(), n), c.data(), n);
    return array(info.Env(), c.data(), m * n);
  });
}

// { tensor, dims, rank, factors, packed, threads } → K_n of all modes, one behind the other
Napi::Value mttkrp(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Arguments in(info);
    const std::vector<std::int64_t> dims = integers_property(in.object, "dims");
    const std::int64_t rank = in.integer("rank");
    const Factors factors = in.factors("factors", dims, rank);
    const std::vector<double> tensor = in.values("tensor", solver::product(dims, 0, dims.size()));
    Gemm product(static_cast<int>(in.integer("threads")), kNever);
    solver::Mttkrp tree(dims, rank);
    Factors result(dims, rank);
    if (bool_property(in.object, "packed")) {
      const solver::PanelMatrix panels = tree.panels(product, tensor.data(), 1);
      tree.prepare_left(product, panels, factors);
      tree.prepare_right(product, panels, factors);
    } else {
      tree.prepare_left(product, tensor.data(), factors);
      tree.prepare_right(product, tensor.data(), factors);
    }
    for (std::size_t n = 0; n < dims.size(); ++n) tree.contract(product, n, factors, result.mode(n));
    return array(info.Env(), result.data(), result.size());
  });
}

// { dims, rank, threads, rounds } → seconds that the two products of a gradient took together, least of `rounds`
Napi::Value product_seconds(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Arguments in(info);
    const std::vector<std::int64_t> dims = integers_property(in.object, "dims");
    const std::int64_t rank = in.integer("rank"), rounds = in.integer("rounds");
    Factors factors(dims, rank);
    factors.fill(0.5);
    const std::vector<double> tensor(static_cast<std::size_t>(solver::product(dims, 0, dims.size())), 0.25);
    Gemm gemm(static_cast<int>(in.integer("threads")), kNever);
    solver::Mttkrp tree(dims, rank);
    const solver::PanelMatrix panels = tree.panels(gemm, tensor.data(), 1);
    double best = 0;
    for (std::int64_t round = 0; round < rounds; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      tree.prepare_left(gemm, panels, factors);
      tree.prepare_right(gemm, panels, factors);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      best = round == 0 ? seconds.count() : std::min(best, seconds.count());
    }
    return Napi::Number::New(info.Env(), best);
  });
}

// { tensor (of norm 1), dims, rank, factors, ridge } → gradient of ½‖T − M‖² + ½·ridge·Σ‖A_n‖²
Napi::Value gradient(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Arguments in(info);
    solver::CpdSpec spec;
    spec.dims = integers_property(in.object, "dims");
    spec.rank = in.integer("rank");
    spec.ridge = number_property(in.object, "ridge");
    const std::vector<double> tensor = in.values("tensor", solver::product(spec.dims, 0, spec.dims.size()));
    solver::Problem problem(tensor.data(), 1, spec, kNever);
    const Factors result = solver::nls_gradient(problem, in.factors("factors", spec.dims, spec.rank));
    return array(info.Env(), result.data(), result.size());
  });
}

// { dims, rank, factors, direction } → JᵀJ·direction
Napi::Value jacobian_product(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Arguments in(info);
    const std::vector<std::int64_t> dims = integers_property(in.object, "dims");
    const std::int64_t rank = in.integer("rank");
    const Factors factors = in.factors("factors", dims, rank);
    const Factors direction = in.factors("direction", dims, rank);
    Gemm product(1, kNever);
    solver::Gramians gramians(factors);
    gramians.update(product, factors);
    gramians.prepare(product, factors);
    Factors result(dims, rank);
    gramians.jacobian_product(product, factors, direction, result);
    return array(info.Env(), result.data(), result.size());
  });
}

// { n, a } → [values ascending, vectors as columns]
Napi::Value eigen(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Arguments in(info);
    const std::int64_t n = in.integer("n");
    std::vector<double> values, vectors;
    solver::symmetric_eigen(n, in.values("a", n * n).data(), kNever, values, vectors);
    const Napi::Array pair = Napi::Array::New(info.Env(), 2);
    pair.Set(0u, array(info.Env(), values.data(), n));
    pair.Set(1u, array(info.Env(), vectors.data(), n * n));
    return pair;
  });
}

}  // namespace

Napi::Object cpd_test(Napi::Env env) {
  const Napi::Object hooks = Napi::Object::New(env);
  hooks.Set("gemm", Napi::Function::New<gemm>(env, "gemm"));
  hooks.Set("mttkrp", Napi::Function::New<mttkrp>(env, "mttkrp"));
  hooks.Set("productSeconds", Napi::Function::New<product_seconds>(env, "productSeconds"));
  hooks.Set("gradient", Napi::Function::New<gradient>(env, "gradient"));
  hooks.Set("jacobianProduct", Napi::Function::New<jacobian_product>(env, "jacobianProduct"));
  hooks.Set("eigen", Napi::Function::New<eigen>(env, "eigen"));
  return hooks;
}

}  // namespace polyadic::binding
