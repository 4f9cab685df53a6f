# bash completion for crystal
# Generated from the command tree by "python -m crystalcli.cli.pages"; do not edit.

_crystal_children() {
    case "$1" in
        '') echo 'build-graphs train predict calibrate label-sites relax md screen benchmark report potential status runs graphs models plugins doctor glass pack pairs slabs' ;;
        'potential') echo 'check' ;;
        'graphs') echo 'info verify merge' ;;
        'models') echo 'list show path import' ;;
        'plugins') echo 'list show check new' ;;
    esac
}

_crystal_flags() {
    case "$1" in
        '') echo '--version --verbose --no-plugins --debug -h --help' ;;
        'build-graphs') echo '--featurizer -o --output --targets --fields --limit --require-labels --cif-column --id-column --allow-failures -j --jobs --scheduler --shard --seconds-per-file --memory-per-job --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --cutoff --max-neighbors --ties --symprec' ;;
        'train') echo '--arch --head --featurizer --train --val --test --split --fractions --split-file --split-column --group --kinds --leave-out --folds --fold --all-folds --train-size --gap --rounds --split-seed --member --loss --optimizer --lr --momentum --shuffle-window --weight-decay --batch-size --epochs --schedule --step-epochs --gamma --clip --ema --patience --residual-of --baseline --paper-baselines --checkpoint-every --from --freeze --lr-factor --freeze-norm --new-head --refit-normaliser --replay --replay-share --keep-start --no-keep-start --target --task --seeds --ensemble --learning-curve --compare --no-compare --seed --log --device --threads --pictures -o --output --resume --finish --report --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --n-conv --width --norm --activation --outer-activation --no-outer-activation --message-scale --edge-gain --vectors --intervals --neighbors --n-layers --l-max --channels --parity --self-connection --bessel --trainable-bessel --no-trainable-bessel --basis-scale --radial-width --radial-layers --bias --no-bias --pair-channels --pair-intervals --moment-channels --moment-intervals --smoothing --edge-width --angle-channels --atom-features --gaussian-step --envelope --pool --pool-beta --pool-norm --hidden --n-hidden --dropout --noise --noise-beta --energy-weight --forces-weight --stress-weight --pressure-weight --wall --no-wall --zbl --no-zbl --by --positive --no-positive --conserve --total --weigh --target-weights --step --min-steps --max-steps --tolerance --gradient --last --form --symmetric --no-symmetric --constant --no-constant --path --no-path --lengths --outer-rounds' ;;
        'predict') echo '-o --output --format --labels --cif-column --id-column --allow-unseen-elements --as-results --latent --similar --batch-size --device --threads -j --jobs --scheduler --seconds-per-file --memory-per-job --pictures --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'calibrate') echo '-o --output --method --levels --labels --cif-column --id-column --skip-known --batch-size --device --threads --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'label-sites') echo '--potential -o --output --label --charges --cif-column --id-column --elements --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --calculator --arguments --species --model --file --place --task --settings --pair-style --pair-coeff --commands --no-charges --epsilon --sigma --rc --smooth --no-smooth --kind --head --dispersion --no-dispersion --precision --parameters --cutoff --switch --splitting --depth --r0 --alpha --three-body' ;;
        'relax') echo '--potential --relaxer --cell --pressure --fmax --smax --steps --max-seconds-per-structure --batch-size --dtype --cif-column --id-column --start --compare-starts --cif --trajectory-every --symprec --fix-elements --fix-below --fix-indices --device --threads -j --jobs --scheduler -o --output --resume --report --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --calculator --arguments --species --model --file --place --task --settings --pair-style --pair-coeff --commands --charges --no-charges --epsilon --sigma --rc --smooth --no-smooth --kind --head --dispersion --no-dispersion --precision --parameters --cutoff --switch --splitting --depth --r0 --alpha --three-body --max-step --dt --dt-max --memory' ;;
        'md') echo '--potential --sampler --cif-column --id-column --temperature --steps --time --dt --velocities --dtype --log-every --frame-every --analysis --no-analysis --analysis-from --pictures --checkpoint-every --drift-every --max-drift --max-sigma --stop-on-sigma --hotter --closest --max-force --log --seed --device --threads -o --output --resume --report --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --calculator --arguments --species --model --file --place --task --settings --pair-style --pair-coeff --commands --charges --no-charges --epsilon --sigma --rc --smooth --no-smooth --kind --head --dispersion --no-dispersion --precision --parameters --cutoff --switch --splitting --depth --r0 --alpha --three-body --friction --damping --chain --substeps --suzuki-yoshida --pressure --mode --cell-damping' ;;
        'screen') echo '--arch --ensemble --epochs --lr --batch-size --threshold --robust --seed --campaign --model --references --cif-column --id-column --reference-label --target --device --threads -j --jobs --scheduler --results-of --pictures -o --output --resume --report --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --n-conv --width --norm --activation --outer-activation --no-outer-activation --message-scale --edge-gain --vectors --intervals --neighbors --n-layers --l-max --channels --parity --self-connection --bessel --trainable-bessel --no-trainable-bessel --basis-scale --radial-width --radial-layers --bias --no-bias --pair-channels --pair-intervals --moment-channels --moment-intervals --smoothing --edge-width --angle-channels --atom-features --gaussian-step --envelope --pool --pool-beta --pool-norm --hidden --n-hidden --dropout --noise --noise-beta --energy-weight --forces-weight --stress-weight --pressure-weight --wall --no-wall --zbl --no-zbl --by --positive --no-positive --conserve --total --weigh --target-weights --step --momentum --min-steps --max-steps --tolerance --gradient --last --form --symmetric --no-symmetric --constant --no-constant --path --no-path --lengths --outer-rounds' ;;
        'benchmark') echo '--arch --target --task --published --baseline --epochs --ensemble --fold-column --folds --matbench-folds --matbench-task --allow-missing --group --validation --cif-column --id-column -j --jobs --seed --device --threads --pictures -o --output --resume --report --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'report') echo '-o --output --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'potential') echo '-h --help' ;;
        'potential check') echo '--only --skip --elements --temperature --steps -o --output --dtype --seed --device --threads --overwrite --json -q --quiet -c --config --no-plugins --debug -h --help --calculator --arguments --species --model --file --place --task --settings --pair-style --pair-coeff --commands --charges --no-charges --epsilon --sigma --rc --smooth --no-smooth --kind --head --dispersion --no-dispersion --precision --parameters --cutoff --switch --splitting --depth --r0 --alpha --three-body' ;;
        'status') echo '--json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'runs') echo '--state --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'graphs') echo '-h --help' ;;
        'graphs info') echo '--json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'graphs verify') echo '--json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'graphs merge') echo '-o --output --overwrite --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'models') echo '-h --help' ;;
        'models list') echo '--json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'models show') echo '--json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'models path') echo '--json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'models import') echo '--file --overwrite --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'plugins') echo '-h --help' ;;
        'plugins list') echo '--family --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'plugins show') echo '--family --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'plugins check') echo '--family --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'plugins new') echo '-o --output --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'doctor') echo '--json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'glass') echo '--potential --sampler --relaxer --grid --step --ends --compositions --atoms --replicas --volume --expand --phases --spheres --seed --melt --cold --melt-steps --quench-steps --rate --hold-steps --dt --plan --settle --frame-every --batch-size --eos-volumes --eos-steps --eos-temperature --closest --max-force --hotter --retries --label-above --label-apart --relax --fmax --relax-steps --last-steps --references --compare --trajectories --voltage --keep-trajectories --no-keep-trajectories --draw-boxes --no-draw-boxes --shard --pictures --dtype --device --threads -j --jobs --scheduler -o --output --resume --report --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --calculator --arguments --species --model --file --place --task --settings --pair-style --pair-coeff --commands --charges --no-charges --epsilon --sigma --rc --smooth --no-smooth --kind --head --dispersion --no-dispersion --precision --parameters --cutoff --switch --splitting --depth --r0 --alpha --three-body --max-step --dt-max --memory --friction --damping --chain --substeps --suzuki-yoshida --pressure --mode --cell-damping' ;;
        'pack') echo '--grid --step --ends --compositions --atoms --replicas --volume --expand --phases --spheres --seed -o --output --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'pairs') echo '--relaxed --initial --relax-run --match --cells --adsorbate --further-starts --noise -o --output --resume --report --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help' ;;
        'slabs') echo '--potential --relaxer --elements --adsorbates --count --facets --kinds --most-elements --layers --free-layers --repeat --sites --vacuum --strain --rattle --lift --tilt --fmax --steps --max-adsorbate-moved --min-moved --max-moved --seed --device --threads -j --jobs --scheduler -o --output --resume --report --time-limit --overwrite --dry-run --json -q --quiet -c --config --no-plugins --debug -h --help --calculator --arguments --species --model --file --place --task --settings --pair-style --pair-coeff --commands --charges --no-charges --epsilon --sigma --rc --smooth --no-smooth --kind --head --dispersion --no-dispersion --precision --parameters --cutoff --switch --splitting --depth --r0 --alpha --three-body --max-step --dt --dt-max --memory' ;;
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
