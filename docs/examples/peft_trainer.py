"""One round of local training with PyTorch + PEFT, for `trainer = "command"` (docs/TRAINING.md).

    pip install torch transformers peft safetensors
    [training]
    trainer = "command"
    command = ["python3", "/srv/fedshield/peft_trainer.py"]

The last argument is the request. Progress goes to standard output as JSON lines, the trained adapter to the
request's `result` folder. Only the factors in `trained` may change. With the purpose `evaluate` nothing is trained: the mean
loss of the examples goes to `loss.json` in the `result` folder.
"""

import json
import os
import random
import sys
import time

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

IGNORED = -100


def batches(examples, request):
    """Endless passes over the examples, each in a fresh order."""
    order = random.Random(request["seed"])
    left = []
    while True:
        batch = []
        while len(batch) < request["batch_size"]:
            if not left:
                left = order.sample(examples, len(examples))
            batch.append(left.pop())
        width = max(len(example["input_ids"]) for example in batch)
        pad = lambda values, filler: values + [filler] * (width - len(values))
        ids = torch.tensor([pad(example["input_ids"], 0) for example in batch])
        labels = torch.tensor([pad(example["labels"], IGNORED) for example in batch])
        # Attention is causal, so padding on the right needs no mask.
        yield ids, labels


def evaluate(model, examples, request):
    """Writes the mean loss per labelled token."""
    device = next(model.parameters()).device
    model.eval()
    total, labelled = 0.0, 0
    with torch.no_grad():
        for example in examples:
            labels = torch.tensor([example["labels"]], device=device)[:, 1:]
            logits = model(input_ids=torch.tensor([example["input_ids"]], device=device), use_cache=False).logits[:, :-1]
            total += torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
            ).item()
            labelled += (labels != IGNORED).sum().item()
    os.makedirs(request["result"], exist_ok=True)
    with open(os.path.join(request["result"], "loss.json"), "w") as file:
        json.dump({"loss": total / max(labelled, 1)}, file)


def main(path):
    with open(path) as file:
        request = json.load(file)
    with open(request["examples"]) as file:
        examples = [json.loads(line) for line in file]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(request["seed"])
    base = AutoModelForCausalLM.from_pretrained(request["model"], dtype=torch.float32)
    if request["purpose"] == "evaluate":
        adapted = base if request["adapter"] is None else PeftModel.from_pretrained(base, request["adapter"])
        return evaluate(adapted.to(device), examples, request)
    model = PeftModel.from_pretrained(base, request["adapter"], is_trainable=True).to(device)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = any(factor in name for factor in request["trained"])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    settings = request["optimizer"]
    optimizer = torch.optim.AdamW(
        trained,
        lr=request["learning_rate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["epsilon"],
        weight_decay=settings["weight_decay"],
    )
    data = batches(examples, request)
    model.train()
    for step in range(1, request["steps"] + 1):
        begin = time.perf_counter()
        micro = [next(data) for _ in range(request["accumulation"])]
        labelled = sum((labels[:, 1:] != IGNORED).sum().item() for _, labels in micro)
        total = 0.0
        for ids, labels in micro:
            logits = model(input_ids=ids.to(device), use_cache=False).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels[:, 1:].flatten().to(device), ignore_index=IGNORED,
                reduction="sum",
            ) / labelled
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(trained, request["max_gradient_norm"])
        optimizer.step()
        optimizer.zero_grad()
        rate = sum(ids.numel() for ids, _ in micro) / (time.perf_counter() - begin)
        print(json.dumps({"step": step, "loss": total, "tokens_per_second": rate}), flush=True)
    model.save_pretrained(request["result"])


if __name__ == "__main__":
    main(sys.argv[-1])
