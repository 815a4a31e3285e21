"""Compares greedy texts with node-llama-cpp, which brings llama.cpp as npm packages: base + adapter, and merged, as GGUF.

    npm install --ignore-scripts --omit=optional node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1     in an empty folder
    python compare_node_llama_cpp.py FEDSHIELD-CLI FOLDER [FAMILY]...

The models and adapters are those of compare_llama_cpp.py: the shipped base (Llama), random ones of Qwen2 and Qwen3. With F32 files
every text must be that of `adapter chat`.
"""

import json
import os
import subprocess
import sys
import tempfile

from compare_llama_cpp import adapter, base, ours, run, same

SCRIPT = """
import {getLlama, LlamaCompletion} from "node-llama-cpp";
const [file, prompts, lora] = JSON.parse(process.argv[2]);
const llama = await getLlama({build: "never", gpu: false, logLevel: "error"});
const model = await llama.loadModel({modelPath: file});
const adapters = lora === null ? undefined : {adapters: [{filePath: lora, scale: 1}]};
const exact = {experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32"};
const context = await model.createContext({contextSize: 256, threads: 1, lora: adapters, ...exact});
const completion = new LlamaCompletion({contextSequence: context.getSequence()});
const texts = [];
for (const prompt of prompts)
    texts.push(await completion.generateCompletion(model.tokenize(prompt, true), {maxTokens: 40, temperature: 0}));
console.log(JSON.stringify(texts));
process.exit(0);
"""


def node(place, file, prompts, lora=None):
    # Beside node_modules, where node looks for the package.
    script = os.path.join(place, "greedy.mjs")
    with open(script, "w") as out:
        out.write(SCRIPT)
    asked = json.dumps([file, prompts, lora])
    result = subprocess.run(["node", script, asked], capture_output=True, text=True, cwd=place)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def main():
    place, good = os.path.abspath(sys.argv[2]), True
    with tempfile.TemporaryDirectory() as work:
        for family in sys.argv[3:] or ("llama", "qwen2", "qwen3"):
            model = base(family, work)
            path = lambda name: os.path.join(work, f"{family}-{name}")
            tuned = adapter(model, path("adapter"), 0.05 if family == "llama" else 0.2)
            none = adapter(model, path("none"), 0.0)
            for what, out in ((none, "base.gguf"), (tuned, "merged.gguf")):
                run("merge", what, "--model", model, "--out", path(out), "--format", "gguf", "--type", "f32")
            run("export", path("lora.gguf"), "--format", "gguf", "--from", tuned, "--model", model)
            prompts, plain = ours(model)
            _, adapted = ours(model, tuned)
            assert plain != adapted, "the adapter should change the answers"
            good &= same(f"{family} base", node(place, path("base.gguf"), prompts), plain, True)
            good &= same(f"{family} base + adapter", node(place, path("base.gguf"), prompts, path("lora.gguf")), adapted, True)
            good &= same(f"{family} merged", node(place, path("merged.gguf"), prompts), adapted, True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
