#include "cpd_binding.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "../solver/cpd.h"
#include "../solver/moments.h"
#include "../solver/stiffness.h"
#include "arguments.h"
#include "job.h"

namespace polyadic::binding {
namespace {

using solver::CpdResult;
using solver::CpdSpec;

solver::Method read_method(const std::string& name) {
  if (name == "nls") return solver::Method::nls;
  if (name == "als") return solver::Method::als;
  if (name == "greedy") return solver::Method::greedy;
  argument_error("method", "nls, als or greedy");
}

solver::Init read_init(const std::string& name) {
  if (name == "random") return solver::Init::random;
  if (name == "svd") return solver::Init::svd;
  if (name == "gevd") return solver::Init::gevd;
  if (name == "given") return solver::Init::given;
  argument_error("init", "random, svd, gevd or given");
}

const char* reason_name(solver::StopReason reason) {
  switch (reason) {
    case solver::StopReason::converged:
      return "converged";
    case solver::StopReason::max_iterations:
      return "max_iterations";
    case solver::StopReason::stalled:
      return "stalled";
    case solver::StopReason::exact:
      break;
  }
  return "exact";
}

std::vector<Span<double>> read_factors(const Napi::Object& options) {
  const Napi::Array array = array_property(options, "factors");
  std::vector<Span<double>> factors;
  for (std::uint32_t n = 0; n < array.Length(); ++n) factors.push_back(float64_array(array.Get(n), "factors"));
  return factors;
}

CpdSpec read_spec(const Napi::Object& options) {
  CpdSpec spec;
  spec.dims = integers_property(options, "dims");
  spec.rank = integer_property(options, "rank");
  spec.method = read_method(string_property(options, "method"));
  spec.init = read_init(string_property(options, "init"));
  spec.seed = static_cast<std::uint64_t>(integer_property(options, "seed"));
  spec.max_iterations = integer_property(options, "maxIterations");
  spec.tolerance = number_property(options, "tolerance");
  spec.ridge = number_property(options, "ridge");
  spec.most_weight = number_property(options, "maxWeight");
  spec.correction = number_property(options, "correction");
  spec.threads = static_cast<int>(integer_property(options, "threads"));
  if (spec.init != solver::Init::given) return spec;
  for (const Span<double>& values : read_factors(options))
    spec.given.emplace_back(values.data, values.data + values.length);
  return spec;
}

// The elements that dims asks for; −1 when that is no sensible number.
std::int64_t wanted_length(const std::vector<std::int64_t>& dims) {
  double length = 1;
  for (const std::int64_t dim : dims) length *= static_cast<double>(dim);
  return length >= 1 && length < 9e15 ? static_cast<std::int64_t>(length) : -1;
}

Napi::Array trace_array(Napi::Env env, const std::vector<solver::TraceEntry>& trace) {
  const Napi::Array array = Napi::Array::New(env, trace.size());
  for (std::uint32_t i = 0; i < trace.size(); ++i) {
    const Napi::Object entry = Napi::Object::New(env);
    entry.Set("error", trace[i].error);
    entry.Set("gradientNorm", trace[i].gradient_norm);
    entry.Set("damping", trace[i].damping);
    entry.Set("innerIterations", static_cast<double>(trace[i].inner_iterations));
    entry.Set("seconds", trace[i].seconds);
    array.Set(i, entry);
  }
  return array;
}

class CpdJob : public Job {
 public:
  CpdJob(Napi::Env env, const Napi::Object& options, const Napi::Value& progress) : spec_(read_spec(options)) {
    const Napi::Value tensor = options.Get("tensor");
    const Span<double> values = float64_array(tensor, "tensor");
    if (wanted_length(spec_.dims) != static_cast<std::int64_t>(values.length))
      argument_error("tensor", "as many elements as dims hold");
    tensor_ = values.data;
    pins_.add(env, tensor);
    const Napi::Value covariance = options.Get("covariance");
    if (!covariance.IsUndefined()) {
      const Span<double> moments = float64_array(covariance, "covariance");
      const double rest = static_cast<double>(values.length) / static_cast<double>(spec_.dims[0]);
      if (static_cast<double>(moments.length) != rest * rest)
        argument_error("covariance", "the square of I_2·…·I_N elements");
      spec_.covariance = moments.data;
      pins_.add(env, covariance);
    }
    on_progress(progress);
  }

  void execute(JobControl& control) override { result_ = solver::decompose(tensor_, spec_, control); }

  Napi::Value result(Napi::Env env) override {
    const solver::Factors& factors = result_.factors;
    const Napi::Array arrays = Napi::Array::New(env, factors.order());
    for (std::uint32_t n = 0; n < factors.order(); ++n) {
      arrays.Set(n, to_float64_array(env, factors.mode(n), static_cast<std::size_t>(factors.dim(n) * factors.rank())));
    }
    const Napi::Object object = Napi::Object::New(env);
    object.Set("factors", arrays);
    object.Set("relativeError", result_.relative_error);
    object.Set("iterations", static_cast<double>(result_.iterations));
    object.Set("stopReason", reason_name(result_.stop_reason));
    object.Set("trace", trace_array(env, result_.trace));
    object.Set("outputError", result_.output_error);
    object.Set("outputErrorBefore", result_.output_error_before);
    object.Set("outputPower", result_.output_power);
    object.Set("sensitivity", result_.sensitivity);
    object.Set("sensitivityBefore", result_.sensitivity_before);
    object.Set("congruence", result_.congruence);
    object.Set("componentNorm", result_.component_norm);
    return object;
  }

 private:
  CpdSpec spec_;
  Pins pins_;
  const double* tensor_ = nullptr;
  CpdResult result_;
};

// Adds the second moments of patches of one batch to one matrix a group.
class MomentsJob : public Job {
 public:
  MomentsJob(Napi::Env env, const Napi::Object& options) {
    const std::vector<std::int64_t> dims = integers_property(options, "dims");
    const std::vector<std::int64_t> kernel = integers_property(options, "kernel");
    patches_.strides = integers_property(options, "strides");
    patches_.pads = integers_property(options, "pads");
    patches_.dilations = integers_property(options, "dilations");
    patches_.groups = integer_property(options, "groups");
    threads_ = static_cast<int>(integer_property(options, "threads"));
    const std::size_t axes = kernel.size();
    if (axes < 1 || axes > 3 || dims.size() != axes + 2 || patches_.strides.size() != axes ||
        patches_.pads.size() != axes || patches_.dilations.size() != axes || patches_.groups < 1 ||
        dims[1] % patches_.groups != 0)
      argument_error("kernel", "1 to 3 axes with as many strides, pads and dilations");
    patches_.dims = dims;
    patches_.kernel = kernel;
    const Span<float> input = float32_array(options.Get("input"), "input");
    if (wanted_length(dims) != static_cast<std::int64_t>(input.length))
      argument_error("input", "as many elements as dims hold");
    patches_.input = input.data;
    pins_.add(env, options.Get("input"));
    patches_.positions = integers_property(options, "positions");
    if (patches_.positions.size() % (axes + 1) != 0) argument_error("positions", "image and position of each patch");
    const Napi::Array moments = array_property(options, "moments");
    const std::int64_t size = patches_.length();
    if (moments.Length() != static_cast<std::uint32_t>(patches_.groups))
      argument_error("moments", "one matrix a group");
    for (std::uint32_t g = 0; g < moments.Length(); ++g) {
      const Napi::Value matrix = moments.Get(g);
      const Span<double> values = float64_array(matrix, "moments");
      if (static_cast<std::int64_t>(values.length) != size * size)
        argument_error("moments", "square matrices of the patches' length");
      moments_.push_back(values.data);
      pins_.add(env, matrix);
    }
  }

  void execute(JobControl& control) override { solver::add_moments(patches_, moments_, threads_, control); }

 private:
  solver::Patches patches_;
  Pins pins_;
  std::vector<double*> moments_;
  int threads_ = 1;
};

class StiffnessJob : public Job {
 public:
  explicit StiffnessJob(const Napi::Object& options)
      : threads_(static_cast<int>(integer_property(options, "threads"))),
        factors_(integers_property(options, "dims"), integer_property(options, "rank")) {
    const std::vector<Span<double>> given = read_factors(options);
    if (given.size() != factors_.order()) argument_error("factors", "as many matrices as dims");
    for (std::size_t n = 0; n < given.size(); ++n) {
      if (static_cast<std::int64_t>(given[n].length) != factors_.dim(n) * factors_.rank())
        argument_error("factors", "as many elements as dims and rank say");
      std::copy(given[n].data, given[n].data + given[n].length, factors_.mode(n));
    }
  }

  void execute(JobControl& control) override {
    solver::Gemm gemm(threads_, control);
    stiffness_ = solver::stiffness(gemm, factors_);
  }

  Napi::Value result(Napi::Env env) override { return Napi::Number::New(env, stiffness_); }

 private:
  int threads_;
  solver::Factors factors_;
  double stiffness_ = 0;
};

}  // namespace

Napi::Value stiffness(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsObject()) argument_error("spec", "an object");
    return submit(info.Env(), std::make_unique<StiffnessJob>(info[0].As<Napi::Object>()));
  });
}

Napi::Value patch_moments(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsObject()) argument_error("spec", "an object");
    return submit(info.Env(), std::make_unique<MomentsJob>(info.Env(), info[0].As<Napi::Object>()));
  });
}

Napi::Value cpd(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if (!info[0].IsObject()) argument_error("spec", "an object");
    return submit(info.Env(), std::make_unique<CpdJob>(info.Env(), info[0].As<Napi::Object>(), info[1]));
  });
}

}  // namespace polyadic::binding
