"""PyTorch as a peer of the training bench and as the source of test/training/fixtures.

Reads one JSON request a line on standard input and answers each with one JSON line. Tensors go through files of raw
little-endian float32 (int32 for targets), which the caller names.

  load       graph (see bench/pytorch/peer.ts), weights: file, threads, channelsLast, batchNorm: "batch" | "running"
  step       inputs, targets: files; optimiser: {kind, rates...}; count: how many times; answers {ms, losses}
  gradients  the same files; writes every parameter's gradient, in the graph's order, to `out`; answers {loss}
  weights    writes every parameter's value to `out`
  memory     answers {peakBytes} of this process; reset: of what comes from now on, where the system can (Linux)
"""
import json
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F


def around(pads):
    """ONNX has all beginnings, then all ends; F.pad begins and ends of each axis, the last one first."""
    axes = len(pads) // 2
    return [size for axis in reversed(range(axes)) for size in (pads[axis], pads[axis + axes])]


def padded(x, node, value=0.0):
    """The input with its pads where PyTorch has no option for them, and the pads that it has one for."""
    axes = x.dim() - 2
    pads = node["attributes"].get("pads", [0, 0] * axes)
    if pads[:axes] == pads[axes:]:
        return x, tuple(pads[:axes])
    return F.pad(x, around(pads), value=value), (0,) * axes


def resized(x, scales, attributes):
    """Nearest in ONNX's asymmetric coordinates rounded down, or linear in those of half a pixel."""
    scale = [float(s) for s in scales[2:]]
    if attributes["mode"] == "nearest":
        return F.interpolate(x, scale_factor=scale, mode="nearest")
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


RECURRENT = ("LSTM", "GRU", "RNN")


def by_gate(tensor, order, axis):
    """ONNX's order of gates in PyTorch's."""
    gates = tensor.chunk(len(order), axis)
    return torch.cat([gates[gate] for gate in order], axis)


def recurrent(kind, node, inputs):
    """LSTM, GRU (linear before reset) and RNN from states of zero: all outputs, then the last states."""
    attributes = node["attributes"]
    known = {"hidden_size", "direction", "linear_before_reset"}
    plain = set(attributes) <= known and attributes.get("direction") != "reverse" and len(inputs) == 4
    if not plain or (kind == "GRU" and not attributes.get("linear_before_reset")):
        raise ValueError(f"{kind} of other kinds than PyTorch's own is not known here")
    x, w, r, bias = inputs
    order = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}[kind]
    directions, hidden = r.shape[0], r.shape[2]
    weights = []
    for d in range(directions):
        weights += [by_gate(w[d], order, 0), by_gate(r[d], order, 0)]
        weights += [by_gate(part, order, 0) for part in bias[d].chunk(2)]
    start = torch.zeros(directions, x.shape[1], hidden)
    run = {"LSTM": torch._VF.lstm, "GRU": torch._VF.gru, "RNN": torch._VF.rnn_tanh}[kind]
    state = (start, start) if kind == "LSTM" else start
    y, *states = run(x, state, weights, True, 1, 0.0, True, directions == 2, False)
    return [y.reshape(x.shape[0], x.shape[1], directions, hidden).permute(0, 2, 1, 3), *states]


class Network:
    def __init__(self, graph, weights, channels_last, batch_norm):
        self.nodes = graph["nodes"]
        self.input = graph["input"]
        self.output = graph["output"]
        self.batch_norm = batch_norm
        self.ends_in_softmax = any(node["opType"] == "Softmax" and node["outputs"][0] == self.output for node in self.nodes)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        data = np.fromfile(weights, dtype="<f4")
        self.parameters, self.constants, at = {}, {}, 0
        for item in graph["initializers"]:
            size = int(np.prod(item["dims"], dtype=np.int64))
            tensor = torch.from_numpy(data[at:at + size].reshape(item["dims"]).copy())
            at += size
            if tensor.dim() == 4:
                tensor = tensor.contiguous(memory_format=self.format)
            self.constants[item["name"]] = tensor
            if item["trainable"]:
                self.parameters[item["name"]] = tensor.requires_grad_(True)
        self.integers = graph["integers"]

    def forward(self, x):
        values = {self.input: x.contiguous(memory_format=self.format) if x.dim() == 4 else x}
        for node in self.nodes:
            result = self.run(node, [self.value(values, name) for name in node["inputs"]])
            values.update(zip(node["outputs"], result if isinstance(result, list) else [result]))
        return values[self.output]

    def value(self, values, name):
        return values[name] if name in values else self.constants[name] if name in self.constants else self.integers.get(name)

    def run(self, node, inputs):
        kind, a = node["opType"], node["attributes"]
        x = inputs[0]
        ones = [1] * (x.dim() - 2)
        if kind == "Conv":
            x, pads = padded(x, node)
            convolve = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.dim()]
            return convolve(x, inputs[1], inputs[2] if len(inputs) > 2 else None, a.get("strides", ones), pads,
                            a.get("dilations", ones), a.get("group", 1))
        if kind == "ConvTranspose":
            return F.conv_transpose2d(x, inputs[1], inputs[2] if len(inputs) > 2 else None, a.get("strides", ones), groups=a.get("group", 1))
        if kind == "Gemm":
            weight = inputs[1] if a.get("transB", 0) else inputs[1].t()
            return F.linear(x, weight * a["alpha"] if a.get("alpha", 1) != 1 else weight, inputs[2] if len(inputs) > 2 else None)
        if kind == "MatMul":
            return x @ inputs[1]
        if kind == "BatchNormalization":
            training = self.batch_norm == "batch"
            return F.batch_norm(x, inputs[3], inputs[4], inputs[1], inputs[2], training, 1 - a.get("momentum", 0.9), a.get("epsilon", 1e-5))
        if kind == "Relu":
            return F.relu(x)
        if kind == "LeakyRelu":
            return F.leaky_relu(x, a.get("alpha", 0.01))
        if kind == "Sigmoid":
            return torch.sigmoid(x)
        if kind == "Tanh":
            return torch.tanh(x)
        if kind == "MaxPool":
            x, pads = padded(x, node, float("-inf"))
            return F.max_pool2d(x, a["kernel_shape"], a.get("strides", [1, 1]), pads)
        if kind == "AveragePool":
            x, pads = padded(x, node)
            average = F.avg_pool3d if x.dim() == 5 else F.avg_pool2d
            return average(x, a["kernel_shape"], a.get("strides", ones), pads, count_include_pad=bool(a.get("count_include_pad", 0)))
        if kind == "GlobalAveragePool":
            return x.mean(tuple(range(2, x.dim())), keepdim=True)
        if kind == "LayerNormalization":
            return F.layer_norm(x, inputs[1].shape, inputs[1], inputs[2], a.get("epsilon", 1e-5))
        if kind == "InstanceNormalization":
            return F.instance_norm(x, weight=inputs[1], bias=inputs[2], eps=a.get("epsilon", 1e-5))
        if kind == "PRelu":
            return torch.where(x < 0, x * inputs[1], x)
        if kind in RECURRENT:
            return recurrent(kind, node, inputs)
        if kind == "ReduceMean":
            return x.mean(a["axes"], keepdim=bool(a.get("keepdims", 1)))
        if kind in ("HardSwish", "Elu", "Erf"):
            return {"HardSwish": F.hardswish, "Elu": F.elu, "Erf": torch.erf}[kind](x)
        if kind == "LRN":
            return F.local_response_norm(x, a["size"], a.get("alpha", 1e-4), a.get("beta", 0.75), a.get("bias", 1.0))
        if kind == "Add":
            return x + inputs[1]
        if kind == "Mul":
            return x * inputs[1]
        if kind == "Div":
            return x / inputs[1]
        if kind == "Transpose":
            return x.permute(a["perm"])
        if kind == "Expand":
            return x.expand(inputs[1])
        if kind == "Gather":
            return x.select(a["axis"], inputs[1][0])
        if kind == "Pad":
            return F.pad(x, around(inputs[1][2:len(inputs[1]) // 2] + inputs[1][len(inputs[1]) // 2 + 2:]), mode=a["mode"])
        if kind == "Resize":
            return resized(x, inputs[2], a)
        if kind == "Concat":
            return torch.cat(inputs, a["axis"])
        if kind == "Flatten":
            return x.flatten(1)
        if kind == "Reshape":
            return x.reshape([x.shape[i] if dim == 0 else dim for i, dim in enumerate(inputs[1])])
        if kind == "ReduceMax":
            return x.amax(a["axes"], keepdim=bool(a.get("keepdims", 1)))
        if kind == "Softmax" and node["outputs"][0] != self.output:
            return torch.softmax(x, a["axis"])
        if kind in ("Softmax", "LogSoftmax"):
            return x  # the loss is taken of the logits
        raise ValueError(f"{kind} is not known here")


class Session:
    def load(self, request):
        torch.set_num_threads(request["threads"])
        torch.manual_seed(1)
        self.network = Network(request["graph"], request["weights"], request.get("channelsLast", False), request.get("batchNorm", "running"))
        self.optimiser = None
        return {"version": torch.__version__, "remark": slow_products(), "parameters": list(self.network.parameters)}

    def data(self, request):
        dims = request["dims"]
        inputs = torch.from_numpy(np.fromfile(request["inputs"], dtype="<f4").reshape(-1, *dims).copy())
        targets = torch.from_numpy(np.fromfile(request["targets"], dtype="<i4").astype(np.int64))
        return inputs, targets

    def loss(self, inputs, targets, request):
        logits = self.network.forward(inputs).flatten(1)
        return F.cross_entropy(logits, targets, label_smoothing=request.get("labelSmoothing", 0.0))

    def make_optimiser(self, spec):
        network = self.network
        biases = {node["inputs"][3] for node in network.nodes if node["opType"] in RECURRENT and len(node["inputs"]) > 3}
        decays = {name: p.dim() > 1 and name not in biases for name, p in network.parameters.items()}
        decayed = [p for name, p in network.parameters.items() if decays[name]]
        others = [p for name, p in network.parameters.items() if not decays[name]]
        groups = [{"params": decayed, "weight_decay": spec.get("weightDecay", 0.0)}, {"params": others, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        if spec["kind"] == "adamw":
            return torch.optim.AdamW(groups, lr=spec["learningRate"], betas=tuple(spec.get("betas", (0.9, 0.999))), eps=spec.get("epsilon", 1e-8))
        return torch.optim.SGD(groups, lr=spec["learningRate"], momentum=spec.get("momentum", 0.0), nesterov=spec.get("nesterov", False))

    def step(self, request):
        if "batches" not in request:
            self.inputs, self.targets = self.data(request) if "inputs" in request else (self.inputs, self.targets)
            batches = None
        else:
            batches = self.data(request)
        if "optimiser" in request:
            self.optimiser = self.make_optimiser(request["optimiser"])
        losses = []
        clip = request.get("clipNorm", 0)
        started = time.perf_counter()
        for i in range(request["count"]):
            inputs, targets = self.inputs_of(batches, request, i)
            self.optimiser.zero_grad()
            loss = self.loss(inputs, targets, request)
            loss.backward()
            if clip > 0:
                torch.nn.utils.clip_grad_norm_(list(self.network.parameters.values()), clip)
            self.optimiser.step()
            losses.append(float(loss))
        return {"ms": 1000 * (time.perf_counter() - started), "losses": losses}

    def inputs_of(self, batches, request, i):
        if batches is None:
            return self.inputs, self.targets
        size = request["batches"]
        at = i * size % batches[1].shape[0]
        return batches[0][at:at + size], batches[1][at:at + size]

    def gradients(self, request):
        inputs, targets = self.data(request)
        for parameter in self.network.parameters.values():
            parameter.grad = None
        loss = self.loss(inputs, targets, request)
        loss.backward()
        write(request["out"], [p.grad for p in self.network.parameters.values()])
        return {"loss": float(loss)}

    def weights(self, request):
        write(request["out"], [p.detach() for p in self.network.parameters.values()])
        return {}

    def infer(self, request):
        if "inputs" in request:
            self.input = torch.from_numpy(np.fromfile(request["inputs"], dtype="<f4").reshape(request["dims"]).copy())
        with torch.inference_mode():
            output = self.network.forward(self.input)
            started = time.perf_counter()
            for _ in range(request["count"]):
                output = self.network.forward(self.input)
            ms = 1000 * (time.perf_counter() - started) / request["count"]
        if "out" in request:
            write(request["out"], [torch.softmax(output.flatten(1), 1) if self.network.ends_in_softmax else output])
        return {"ms": ms}

    def memory(self, request):
        if request.get("reset"):
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        return {"peakBytes": peak_bytes()}


def slow_products():
    """Matrix products go to the BLAS that PyTorch is linked with. The reference one, Debian's when no other is installed,
    makes a ViT's step fourteen times as long as OpenBLAS does: a baseline that nobody should have says so."""
    torch.ones(2, 2) @ torch.ones(2, 2)
    try:
        with open("/proc/self/maps") as file:
            libraries = {line.split()[-1] for line in file if "/libblas.so" in line}
    except OSError:
        return ""
    others = ("openblas", "mkl", "blis", "atlas")
    slow = any(not any(name in library for name in others) for library in libraries)
    return " with the reference BLAS" if slow else ""


def peak_bytes():
    try:
        with open("/proc/self/status") as file:
            return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def write(path, tensors):
    np.concatenate([t.contiguous().numpy().reshape(-1) for t in tensors]).astype("<f4").tofile(path)


def main():
    session = Session()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(session, request["do"])(request)
        except Exception as error:  # the caller is told, and decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
