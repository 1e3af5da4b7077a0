#!/bin/sh
# Install spikingjelly without letting it replace torch. Usage: sh tools/setup_spikingjelly.sh VENV
set -eu
python="$1/bin/python"
install() { "$python" -m pip --disable-pip-version-check install --quiet -c constraints.txt "$@"; }

if "$python" -c 'import sys, torch; sys.exit(torch.version.cuda is not None)'; then
    # Its declared torchvision and torchaudio are CUDA builds: beside a CPU torch they install and
    # then break every package that looks for torchvision. What is used here needs neither.
    install --no-deps spikingjelly
    install loguru SciencePlots matplotlib h5py scipy tensorboard tqdm requests packaging einops
else
    install spikingjelly
fi
"$python" -c 'import spikingjelly.activation_based.neuron'
