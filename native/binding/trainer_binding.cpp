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
    check_length(span.length, parameters, name, 0);
    return std::vector<float>(span.data, span.data + span.length);
  };
  sgd.weight_decay = read("weightDecay");
  sgd.rate_scale = read("rateScale");
  return sgd;
}

class TrainJob : public Job {
 public:
  enum class Kind { step, evaluate, gradients };
  TrainJob(const Napi::CallbackInfo& info, std::shared_ptr<Trainer> trainer, Kind kind)
      : trainer_(std::move(trainer)), kind_(kind) {
    read_inputs(info[0], trainer_->plan(), inputs_, &pins_);
    const Span<std::int32_t> target = int32_array(info[1], "target");
    check_length(target.length, static_cast<std::size_t>(trainer_->plan().output(0).layout.n), "target", 0);
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
  Pins pins_;
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
  const auto buffer = [&](std::size_t i) -> Buffer& { return momentum ? parameters[i].momentum : parameters[i].data; };
  std::vector<const float*> from;
  read_buffers(
      values, "values", parameters.size(), [&](std::size_t i) { return buffer(i).size(); }, from, nullptr);
  for (std::size_t i = 0; i < from.size(); ++i) std::copy(from[i], from[i] + buffer(i).size(), buffer(i).data());
  trainer.plan().weights_changed();
}

}  // namespace

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
