"""Runs a network in OpenVINO: a line of JSON on standard input is a request, one on standard output its answer."""

import json
import sys
import time

import numpy as np
import openvino


class Peer:
    def compile(self, request):
        core = openvino.Core()
        model = core.read_model(request["model"])
        model.reshape(request["dims"])
        config = {"INFERENCE_NUM_THREADS": request["threads"], "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        if "precision" in request:
            config["INFERENCE_PRECISION_HINT"] = request["precision"]
        compiled = core.compile_model(model, "CPU", config)
        self.dims = request["dims"]
        self.request = compiled.create_infer_request()
        precision = compiled.get_property("INFERENCE_PRECISION_HINT")
        return {"version": openvino.__version__.split("-")[0], "precision": precision.to_string()}

    def load(self, request):
        inputs = np.fromfile(request["inputs"], dtype="<f4").reshape(self.dims)
        self.request.set_input_tensor(openvino.Tensor(inputs.copy()))
        self.request.infer()
        self.request.get_output_tensor().data.astype("<f4").tofile(request["out"])
        return {}

    def time(self, request):
        started = time.perf_counter()
        for _ in range(request["count"]):
            self.request.infer()
        return {"ms": 1000 * (time.perf_counter() - started) / request["count"]}


def main():
    peer = Peer()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(peer, request["do"])(request)
        except Exception as error:  # the caller is told, and decides
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
