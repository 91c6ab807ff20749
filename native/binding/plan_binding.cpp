#include "plan_binding.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../core/dispatch.h"
#include "../plan/plan.h"
#include "../plan/trainer.h"
#include "arguments.h"
#include "job.h"
#include "spec_reader.h"

namespace polyadic::binding {
namespace {

// Shares a native object between JavaScript functions and jobs, and tells the garbage collector how heavy it is.
template <class T>
class Handle {
 public:
  Handle(Napi::Env env, std::shared_ptr<T> object, std::size_t bytes)
      : env_(env), object_(std::move(object)), bytes_(static_cast<std::int64_t>(bytes)) {
    account(bytes_);
  }
  ~Handle() { close(); }

  const std::shared_ptr<T>& get() const {
    if (!object_) throw Error(ErrorCode::argument, "this session was closed");
    return object_;
  }
  void close() {
    if (!object_) return;
    object_.reset();
    account(-bytes_);
  }

 private:
  // In steps: one call takes no more than an int.
  void account(std::int64_t bytes) const {
    constexpr std::int64_t kStep = 512 << 20;
    for (std::int64_t rest = bytes; rest != 0;) {
      const std::int64_t step = std::clamp(rest, -kStep, kStep);
      Napi::MemoryManagement::AdjustExternalMemory(env_, step);
      rest -= step;
    }
  }

  Napi::Env env_;
  std::shared_ptr<T> object_;
  std::int64_t bytes_;
};

template <class F>
void method(const Napi::Object& object, const char* name, F f) {
  object.DefineProperty(Napi::PropertyDescriptor::Value(
      name,
      Napi::Function::New(
          object.Env(), [f](const Napi::CallbackInfo& info) { return guarded(info.Env(), [&] { return f(info); }); },
          name),
      napi_enumerable));
}

void check_length(std::size_t actual, std::size_t expected, const std::string& name) {
  if (actual != expected) {
    throw Error(ErrorCode::shape,
                name + ": expected " + std::to_string(expected) + " elements, got " + std::to_string(actual));
  }
}

std::vector<const float*> read_inputs(const Napi::Value& value, const Plan& plan) {
  const std::vector<Span<float>> spans = float32_arrays(value, "inputs");
  check_length(spans.size(), plan.spec().inputs.size(), "inputs");
  std::vector<const float*> pointers;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    check_length(spans[i].length, plan.input_size(i), "input " + std::to_string(i));
    pointers.push_back(spans[i].data);
  }
  return pointers;
}

std::vector<float*> read_outputs(const Napi::Value& value, const Plan& plan) {
  const std::vector<Span<float>> spans = float32_arrays(value, "outputs");
  check_length(spans.size(), plan.spec().outputs.size(), "outputs");
  std::vector<float*> pointers;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    check_length(spans[i].length, plan.output_size(i), "output " + std::to_string(i));
    pointers.push_back(spans[i].data);
  }
  return pointers;
}

// Pins the typed arrays themselves: the caller may change the array that holds them.
class BufferJob : public Job {
 protected:
  using Job::Job;
  void pin_all(const Napi::Value& arrays) {
    const Napi::Array list = arrays.As<Napi::Array>();
    for (std::uint32_t i = 0; i < list.Length(); ++i) pin(list.Get(i));
  }
};

class RunJob : public BufferJob {
 public:
  RunJob(const Napi::CallbackInfo& info, std::shared_ptr<Plan> plan)
      : BufferJob(info.Env()),
        plan_(std::move(plan)),
        inputs_(read_inputs(info[0], *plan_)),
        outputs_(read_outputs(info[1], *plan_)) {
    pin_all(info[0]);
    pin_all(info[1]);
  }
  void execute(JobControl& control) override { plan_->run(inputs_, outputs_, &control); }

 private:
  std::shared_ptr<Plan> plan_;
  std::vector<const float*> inputs_;
  std::vector<float*> outputs_;
};

Napi::Object describe(Napi::Env env, const Plan& plan) {
  const Napi::Object result = Napi::Object::New(env);
  result.Set("isa", kernels().name);
  result.Set("imagesAtATime", Napi::Number::New(env, static_cast<double>(plan.slice())));
  result.Set("arenaBytes", Napi::Number::New(env, static_cast<double>(plan.arena_bytes())));
  result.Set("weightBytes", Napi::Number::New(env, static_cast<double>(plan.weight_bytes())));
  const auto lines = plan.describe();
  const Napi::Array steps = Napi::Array::New(env, lines.size());
  for (std::uint32_t i = 0; i < lines.size(); ++i) {
    const Napi::Object step = Napi::Object::New(env);
    step.Set("op", lines[i].first);
    step.Set("kernel", lines[i].second);
    steps.Set(i, step);
  }
  result.Set("steps", steps);
  return result;
}

Sgd read_sgd(const Napi::Value& value, std::size_t parameters) {
  if (!value.IsObject()) argument_error("sgd", "an object");
  const Napi::Object object = value.As<Napi::Object>();
  Sgd sgd;
  sgd.learning_rate = static_cast<float>(number_property(object, "learningRate"));
  sgd.momentum = static_cast<float>(number_property(object, "momentum"));
  sgd.nesterov = bool_property(object, "nesterov");
  sgd.clip_norm = static_cast<float>(number_property(object, "clipNorm"));
  const auto read = [&](const char* name) {
    const Span<float> span = float32_array(property(object, name), name);
    check_length(span.length, parameters, name);
    return std::vector<float>(span.data, span.data + span.length);
  };
  sgd.weight_decay = read("weightDecay");
  sgd.rate_scale = read("rateScale");
  return sgd;
}

class TrainJob : public BufferJob {
 public:
  enum class Kind { step, evaluate, gradients };
  TrainJob(const Napi::CallbackInfo& info, std::shared_ptr<Trainer> trainer, Kind kind)
      : BufferJob(info.Env()),
        trainer_(std::move(trainer)),
        kind_(kind),
        inputs_(read_inputs(info[0], trainer_->plan())) {
    pin_all(info[0]);
    const Span<std::int32_t> target = int32_array(info[1], "target");
    check_length(target.length, static_cast<std::size_t>(trainer_->plan().output(0).layout.n), "target");
    target_.assign(target.data, target.data + target.length);
    const double third = info[2].IsNumber() ? info[2].As<Napi::Number>().DoubleValue() : 0;
    if (kind == Kind::evaluate) {
      count_ = static_cast<std::int64_t>(third);
    } else {
      label_smoothing_ = static_cast<float>(third);
    }
    if (kind == Kind::step) sgd_ = read_sgd(info[3], trainer_->plan().parameters().size());
  }

  void execute(JobControl& control) override {
    const std::lock_guard<std::mutex> guard(trainer_->plan().lock());
    switch (kind_) {
      case Kind::step:
        result_ = trainer_->step(inputs_, target_.data(), label_smoothing_, sgd_, &control);
        break;
      case Kind::evaluate:
        result_ = trainer_->evaluate(inputs_, target_.data(), count_, &control);
        break;
      case Kind::gradients:
        result_ = trainer_->gradients(inputs_, target_.data(), label_smoothing_, &control);
        for (const Parameter& p : trainer_->plan().parameters())
          gradients_.emplace_back(p.grad.data(), p.grad.data() + p.grad.size());
        break;
    }
  }

  Napi::Value result(Napi::Env env) override {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("loss", result_.loss);
    object.Set("correct", Napi::Number::New(env, static_cast<double>(result_.correct)));
    object.Set("gradientNorm", result_.gradient_norm);
    if (kind_ == Kind::gradients) {
      const Napi::Array list = Napi::Array::New(env, gradients_.size());
      for (std::uint32_t i = 0; i < gradients_.size(); ++i) {
        list.Set(i, to_float32_array(env, gradients_[i].data(), gradients_[i].size()));
      }
      object.Set("gradients", list);
    }
    return object;
  }

 private:
  std::shared_ptr<Trainer> trainer_;
  Kind kind_;
  std::vector<const float*> inputs_;
  std::vector<std::int32_t> target_;
  float label_smoothing_ = 0;
  std::int64_t count_ = 0;
  Sgd sgd_;
  StepResult result_;
  std::vector<std::vector<float>> gradients_;
};

bool reads_momentum(const Napi::Value& what) {
  const std::string name = what.IsString() ? what.As<Napi::String>().Utf8Value() : "";
  if (name != "weights" && name != "momentum") argument_error("what", "\"weights\" or \"momentum\"");
  return name == "momentum";
}

Napi::Value get_parameters(Napi::Env env, Trainer& trainer, bool momentum) {
  const std::lock_guard<std::mutex> guard(trainer.plan().lock());
  const std::vector<Parameter>& parameters = trainer.plan().parameters();
  const Napi::Array list = Napi::Array::New(env, parameters.size());
  for (std::uint32_t i = 0; i < parameters.size(); ++i) {
    const Buffer& buffer = momentum ? parameters[i].momentum : parameters[i].data;
    list.Set(i, to_float32_array(env, buffer.data(), buffer.size()));
  }
  return list;
}

void set_parameters(const Napi::Value& values, Trainer& trainer, bool momentum) {
  const std::lock_guard<std::mutex> guard(trainer.plan().lock());
  std::vector<Parameter>& parameters = trainer.plan().parameters();
  const std::vector<Span<float>> spans = float32_arrays(values, "values");
  check_length(spans.size(), parameters.size(), "values");
  const auto buffer = [&](std::size_t i) -> Buffer& { return momentum ? parameters[i].momentum : parameters[i].data; };
  for (std::size_t i = 0; i < spans.size(); ++i)
    check_length(spans[i].length, buffer(i).size(), "values[" + std::to_string(i) + "]");
  for (std::size_t i = 0; i < spans.size(); ++i)
    std::copy(spans[i].data, spans[i].data + spans[i].length, buffer(i).data());
  trainer.plan().weights_changed();
}

}  // namespace

Napi::Value create_plan(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    PlanSpec spec = read_plan_spec(info[0]);
    if (spec.training) argument_error("training", "false for a plan that only runs forward");
    auto plan = std::make_shared<Plan>(std::move(spec));
    const auto handle = std::make_shared<Handle<Plan>>(env, plan, plan->arena_bytes() + plan->weight_bytes());
    const Napi::Object object = Napi::Object::New(env);
    method(object, "run", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      return submit(call.Env(), std::make_unique<RunJob>(call, handle->get()));
    });
    method(object, "runSync", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      Plan& target = *handle->get();
      target.run(read_inputs(call[0], target), read_outputs(call[1], target), nullptr);
      return call.Env().Undefined();
    });
    method(object, "describe",
           [handle](const Napi::CallbackInfo& call) -> Napi::Value { return describe(call.Env(), *handle->get()); });
    method(object, "close", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      handle->close();
      return call.Env().Undefined();
    });
    return object;
  });
}

Napi::Value create_trainer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    PlanSpec spec = read_plan_spec(info[0]);
    if (!spec.training) argument_error("training", "true for a trainer's plan");
    auto trainer = std::make_shared<Trainer>(std::move(spec));
    const auto handle =
        std::make_shared<Handle<Trainer>>(env, trainer, trainer->plan().arena_bytes() + trainer->plan().weight_bytes());
    const Napi::Object object = Napi::Object::New(env);
    const auto job = [&](const char* name, TrainJob::Kind kind) {
      method(object, name, [handle, kind](const Napi::CallbackInfo& call) -> Napi::Value {
        return submit(call.Env(), std::make_unique<TrainJob>(call, handle->get(), kind));
      });
    };
    job("step", TrainJob::Kind::step);
    job("evaluate", TrainJob::Kind::evaluate);
    job("gradients", TrainJob::Kind::gradients);
    method(object, "getParameters", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      return get_parameters(call.Env(), *handle->get(), reads_momentum(call[0]));
    });
    method(object, "setParameters", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      set_parameters(call[1], *handle->get(), reads_momentum(call[0]));
      return call.Env().Undefined();
    });
    method(object, "close", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      handle->close();
      return call.Env().Undefined();
    });
    return object;
  });
}

}  // namespace polyadic::binding
