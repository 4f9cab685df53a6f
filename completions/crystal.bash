# bash completion for crystal
# Generated from the command tree by "python -m crystalcli.commands.pages"; do not edit.

_crystal_children() {
    case "$1" in
        '') echo 'build-graphs train predict calibrate label-sites relax md screen graphs plugins' ;;
        'graphs') echo 'info verify merge' ;;
        'plugins') echo 'list show check' ;;
    esac
}

_crystal_flags() {
    case "$1" in
        '') echo '--version --no-plugins --debug -h --help' ;;
        'build-graphs') echo '-o --output --featurizer --targets --require-labels --cif-column --id-column --allow-failures -j --jobs --scheduler --shard --seconds-per-file --memory-per-job --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --cutoff --max-neighbors --ties' ;;
        'train') echo '--arch --head --featurizer --target --task -o --output --resume --finish --from --freeze --lr-factor --freeze-norm --new-head --refit-normaliser --train --val --test --split --fractions --split-file --split-column --group --leave-out --folds --fold --all-folds --train-size --gap --rounds --loss --optimizer --lr --momentum --shuffle-window --weight-decay --batch-size --epochs --schedule --step-epochs --gamma --clip --ema --patience --residual-of --baseline --paper-baselines --checkpoint-every --seed --seeds --ensemble --learning-curve --compare --no-compare --device --threads --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --n-conv --width --norm --activation --outer-activation --no-outer-activation --message-scale --edge-gain --pair-channels --pair-intervals --moment-channels --smoothing --gate-intervals --neighbors --n-layers --atom-features --gaussian-step --envelope --pool --pool-beta --pool-norm --hidden --n-hidden --dropout --noise --noise-beta --energy-weight --forces-weight --stress-weight --pressure-weight --wall --no-wall --zbl --no-zbl --positive --no-positive --conserve --total --weigh --target-weights' ;;
        'predict') echo '-o --output --format --labels --allow-unseen-elements --as-results --latent --similar --batch-size --device --threads -j --jobs --scheduler --seconds-per-file --memory-per-job --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'calibrate') echo '-o --output --method --levels --labels --skip-known --batch-size --device --threads --overwrite --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'label-sites') echo '-o --output --label --potential --charges --elements --overwrite --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'relax') echo '--potential --relaxer -o --output --resume --cif --trajectory-every --symprec --cell --pressure --fmax --smax --steps --max-seconds-per-structure --fix-elements --fix-below --fix-indices --batch-size --device --dtype --threads -j --jobs --scheduler --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --epsilon --sigma --rc --smooth --no-smooth --cutoff --switch --splitting --depth --r0 --alpha --max-step --dt --dt-max --memory' ;;
        'md') echo '--potential --sampler --temperature --steps --time --dt --velocities --dtype -o --output --resume --log-every --frame-every --analysis --no-analysis --analysis-from --checkpoint-every --drift-every --max-drift --max-sigma --stop-on-sigma --seed --device --threads --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --epsilon --sigma --rc --smooth --no-smooth --cutoff --switch --splitting --depth --r0 --alpha --friction --pressure --mode --damping --cell-damping --chain' ;;
        'screen') echo '--campaign --model -o --output --resume --threshold --references --reference-label --robust --ensemble --arch --target --epochs --lr --batch-size --seed --device --threads -j --jobs --scheduler --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --n-conv --width --norm --activation --outer-activation --no-outer-activation --message-scale --edge-gain --pair-channels --pair-intervals --moment-channels --smoothing --gate-intervals --neighbors --n-layers --atom-features --gaussian-step --envelope --pool --pool-beta --pool-norm --hidden --n-hidden --dropout --noise --noise-beta --energy-weight --forces-weight --stress-weight --pressure-weight --wall --no-wall --zbl --no-zbl --positive --no-positive --conserve --total --weigh --target-weights' ;;
        'graphs') echo '-h --help' ;;
        'graphs info') echo '--json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'graphs verify') echo '--json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'graphs merge') echo '-o --output --overwrite --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'plugins') echo '-h --help' ;;
        'plugins list') echo '--family --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'plugins show') echo '--family --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'plugins check') echo '--family --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
    esac
}

_crystal() {
    local current="${COMP_WORDS[COMP_CWORD]}" path="" word children answer
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        children=" $(_crystal_children "$path") "
        [[ $word != -* && $children == *" $word "* ]] && path="${path:+$path }$word"
    done
    COMPREPLY=()
    children=$(_crystal_children "$path")
    if [[ -n $children && $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$children" -- "$current")
        return
    fi
    answer=$(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD _CRYSTAL_COMPLETE=complete_bash \
        "${COMP_WORDS[0]}" 2>/dev/null)
    if [[ -n $answer ]]; then
        mapfile -t COMPREPLY <<< "$answer"
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_crystal_flags "$path")" -- "$current")
    fi
}

complete -o default -o bashdefault -F _crystal crystal
