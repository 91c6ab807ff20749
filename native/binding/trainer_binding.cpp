// createTrainer: a training plan's functions. lib/native/binding.ts documents each of them.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../plan/trainer.h"
#include "handle.h"
#include "plan_binding.h"
#include "spec_reader.h"

namespace polyadic::binding {
namespace {

Optimiser read_optimiser(const Napi::Value& value, std::size_t parameters) {
  if (!value.IsObject()) argument_error("optimiser", "an object");
  const Napi::Object object = value.As<Napi::Object>();
  Optimiser optimiser;
  const std::string kind = string_property(object, "kind");
  if (kind != "sgd" && kind != "adamw") argument_error("optimiser.kind", "\"sgd\" or \"adamw\"");
  optimiser.kind = kind == "adamw" ? Optimiser::Kind::adamw : Optimiser::Kind::sgd;
  const auto number = [&](const char* name, double otherwise) {
    return static_cast<float>(number_property(object, name, otherwise));
  };
  optimiser.learning_rate = static_cast<float>(number_property(object, "learningRate"));
  optimiser.momentum = number("momentum", 0);
  optimiser.nesterov = has_property(object, "nesterov") && bool_property(object, "nesterov");
  optimiser.beta1 = number("beta1", 0.9);
  optimiser.beta2 = number("beta2", 0.999);
  optimiser.epsilon = number("epsilon", 1e-8);
  optimiser.step = static_cast<std::int64_t>(number_property(object, "step", 1));
  optimiser.clip_norm = number("clipNorm", 0);
  optimiser.average_decay = number("averageDecay", 0);
  optimiser.seed = static_cast<std::uint64_t>(number_property(object, "seed", 0));
  const auto read = [&](const char* name) {
    const Span<float> span = float32_array(property(object, name), name);
    check_length(span.length, parameters, name, 0);
    return std::vector<float>(span.data, span.data + span.length);
  };
  optimiser.weight_decay = read("weightDecay");
  optimiser.rate_scale = read("rateScale");
  return optimiser;
}

SensitivitySpec read_sensitivity(const Napi::Object& object) {
  SensitivitySpec spec;
  spec.weight = static_cast<float>(number_property(object, "weight"));
  spec.components = static_cast<std::int32_t>(integer_property(object, "components"));
  const Napi::Array factors = array_property(object, "factors");
  for (std::uint32_t i = 0; i < factors.Length(); ++i) {
    const Napi::Value item = factors.Get(i);
    if (!item.IsObject()) argument_error("factors", "an array of objects");
    const Napi::Object factor = item.As<Napi::Object>();
    const Span<std::int32_t> component = int32_array(property(factor, "component"), "component");
    spec.factors.push_back({static_cast<int>(integer_property(factor, "parameter")),
                            {component.data, component.data + component.length},
                            number_property(factor, "extent")});
  }
  return spec;
}

class TrainJob : public Job {
 public:
  enum class Kind { step, evaluate, gradients };
  TrainJob(const Napi::CallbackInfo& info, std::shared_ptr<Trainer> trainer, Kind kind)
      : trainer_(std::move(trainer)), kind_(kind) {
    read_inputs(info[0], trainer_->plan(), inputs_, &pins_);
    read_losses(info[1]);
    if (kind == Kind::step) optimiser_ = read_optimiser(info[2], trainer_->plan().parameters().size());
    if (kind == Kind::evaluate) count_ = info[2].ToNumber().Int64Value();
    if (kind == Kind::gradients) seed_ = info[2].IsNumber() ? info[2].ToNumber().Int64Value() : 0;
  }

  void execute(JobControl& control) override {
    const std::lock_guard<std::mutex> guard(trainer_->plan().lock());
    switch (kind_) {
      case Kind::step:
        result_ = trainer_->step(inputs_, losses_, optimiser_, &control);
        break;
      case Kind::evaluate:
        result_ = trainer_->evaluate(inputs_, losses_, count_, &control);
        break;
      case Kind::gradients:
        result_ = trainer_->gradients(inputs_, losses_, static_cast<std::uint64_t>(seed_), &control);
        for (std::size_t i = 0; i < trainer_->plan().parameters().size(); ++i)
          gradients_.push_back(trainer_->read(i, Trainer::What::gradient));
        break;
    }
  }

  Napi::Value result(Napi::Env env) override {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("loss", result_.loss);
    object.Set("penalty", result_.penalty);
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
  void read_losses(const Napi::Value& value) {
    if (!value.IsArray()) argument_error("losses", "an array");
    const Napi::Array list = value.As<Napi::Array>();
    for (std::uint32_t i = 0; i < list.Length(); ++i) {
      const Napi::Value item = list.Get(i);
      if (!item.IsObject()) argument_error("losses", "an array of objects");
      losses_.push_back(read_loss(item.As<Napi::Object>()));
    }
  }

  Loss read_loss(const Napi::Object& object) {
    Loss loss;
    Plan& plan = trainer_->plan();
    const std::int64_t output = integer_property(object, "output");
    if (output < 0 || static_cast<std::size_t>(output) >= plan.spec().outputs.size())
      argument_error("loss.output", "an output of the plan");
    loss.output = static_cast<std::size_t>(output);
    loss.weight = static_cast<float>(number_property(object, "weight", 1));
    loss.smoothing = static_cast<float>(number_property(object, "smoothing", 0));
    loss.temperature = static_cast<float>(number_property(object, "temperature", 1));
    const std::string kind = string_property(object, "kind");
    const Napi::Value target = property(object, "target");
    if (kind == "cross_entropy") {
      const Span<std::int32_t> classes = int32_array(target, "target");
      check_length(classes.length, static_cast<std::size_t>(plan.examples(loss.output)), "target", 0);
      loss.classes.assign(classes.data, classes.data + classes.length);
      return loss;
    }
    if (kind != "mean_squared" && kind != "distillation")
      argument_error("loss.kind", "\"cross_entropy\", \"mean_squared\" or \"distillation\"");
    loss.kind = kind == "mean_squared" ? Loss::Kind::mean_squared : Loss::Kind::distillation;
    const Span<float> values = float32_array(target, "target");
    check_length(values.length, plan.output_size(loss.output), "target", 0);
    pins_.add(object.Env(), target);
    loss.values = values.data;
    return loss;
  }

  Pins pins_;
  std::shared_ptr<Trainer> trainer_;
  Kind kind_;
  std::vector<const float*> inputs_;
  std::vector<Loss> losses_;
  std::int64_t count_ = 0, seed_ = 0;
  Optimiser optimiser_;
  StepResult result_;
  std::vector<std::vector<float>> gradients_;
};

Trainer::What read_what(const Napi::Value& what) {
  const std::string name = what.IsString() ? what.As<Napi::String>().Utf8Value() : "";
  if (name == "weights") return Trainer::What::weights;
  if (name == "first") return Trainer::What::first;
  if (name == "second") return Trainer::What::second;
  if (name != "average") argument_error("what", "\"weights\", \"first\", \"second\" or \"average\"");
  return Trainer::What::average;
}

Napi::Value get_parameters(Napi::Env env, Trainer& trainer, Trainer::What what) {
  const std::lock_guard<std::mutex> guard(trainer.plan().lock());
  const std::size_t count = trainer.plan().parameters().size();
  const Napi::Array list = Napi::Array::New(env, count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::vector<float> values = trainer.read(i, what);
    list.Set(i, to_float32_array(env, values.data(), values.size()));
  }
  return list;
}

void set_parameters(const Napi::Value& values, Trainer& trainer, Trainer::What what) {
  const std::lock_guard<std::mutex> guard(trainer.plan().lock());
  const std::vector<Parameter>& parameters = trainer.plan().parameters();
  std::vector<Span<float>> spans;
  each_float32_array(values, "values", parameters.size(),
                     [&](std::uint32_t i, const Napi::Value&, const Span<float>& span) {
                       if (span.length != 0 || what == Trainer::What::weights)
                         check_length(span.length, parameters[i].count, "values", i);
                       spans.push_back(span);
                     });
  for (std::size_t i = 0; i < spans.size(); ++i) trainer.write(i, what, spans[i].data, spans[i].length);
}

}  // namespace

Napi::Value create_trainer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    PlanSpec spec = read_plan_spec(info[0]);
    if (!spec.training) argument_error("training", "true for a trainer's plan");
    std::vector<SensitivitySpec> sensitivities;
    if (info[1].IsArray()) {
      const Napi::Array list = info[1].As<Napi::Array>();
      for (std::uint32_t i = 0; i < list.Length(); ++i) {
        const Napi::Value item = list.Get(i);
        if (!item.IsObject()) argument_error("sensitivities", "an array of objects");
        sensitivities.push_back(read_sensitivity(item.As<Napi::Object>()));
      }
    }
    auto trainer = std::make_shared<Trainer>(std::move(spec), std::move(sensitivities));
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
      return get_parameters(call.Env(), *handle->get(), read_what(call[0]));
    });
    method(object, "setParameters", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      set_parameters(call[1], *handle->get(), read_what(call[0]));
      return call.Env().Undefined();
    });
    method(object, "swapAverage", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      const std::lock_guard<std::mutex> guard(handle->get()->plan().lock());
      handle->get()->swap_average();
      return call.Env().Undefined();
    });
    method(object, "describe", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      const std::lock_guard<std::mutex> guard(handle->get()->plan().lock());
      return describe(call.Env(), handle->get()->plan());
    });
    method(object, "close", [handle](const Napi::CallbackInfo& call) -> Napi::Value {
      handle->close();
      return call.Env().Undefined();
    });
    return object;
  });
}

}  // namespace polyadic::binding
