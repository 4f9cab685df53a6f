"""Completion scripts for bash, zsh and fish.

Names of commands come from the script itself, at once. Flags and values are asked of the program, which knows the
installed plugins and the flags of the chosen parts; where it cannot be asked, the script falls back on the flags of
the built-in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crystalcli.cli.tree import Page, TreeItem

HEADER = '# Generated from the command tree by "python -m crystalcli.cli.pages"; do not edit.'


def bash(pages: Sequence[Page]) -> str:
    """Script for ``share/bash-completion/completions``."""
    return f"""# bash completion for crystal
{HEADER}

_crystal_children() {{
    case "$1" in
{_cases(pages, _children)}
    esac
}}

_crystal_flags() {{
    case "$1" in
{_cases(pages, _flags)}
    esac
}}

_crystal() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" path="" word children answer
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        children=" $(_crystal_children "$path") "
        [[ $word != -* && $children == *" $word "* ]] && path="${{path:+$path }}$word"
    done
    COMPREPLY=()
    children=$(_crystal_children "$path")
    if [[ -n $children && $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$children" -- "$current")
        return
    fi
    answer=$(COMP_WORDS="${{COMP_WORDS[*]}}" COMP_CWORD=$COMP_CWORD _CRYSTAL_COMPLETE=complete_bash \\
        "${{COMP_WORDS[0]}}" 2>/dev/null)
    if [[ -n $answer ]]; then
        mapfile -t COMPREPLY <<< "$answer"
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_crystal_flags "$path")" -- "$current")
    fi
}}

complete -o default -o bashdefault -F _crystal crystal
"""


def zsh(pages: Sequence[Page]) -> str:
    """Script for ``share/zsh/site-functions``."""
    described = "\n".join(
        f"        {_quote(' '.join(p.path))}) reply=({' '.join(_quote(f'{n}:{t}') for n, t in p.children.items())}) ;;"
        for p in pages
        if p.children
    )
    return f"""#compdef crystal
{HEADER}

_crystal_children() {{
    reply=()
    case "$1" in
{described}
    esac
}}

_crystal_flags() {{
    case "$1" in
{_cases(pages, _flags)}
    esac
}}

_crystal() {{
    local current="$words[CURRENT]" way="" word answer
    local -a reply flags found
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        _crystal_children "$way"
        found=(${{(M)reply:#${{word}}:*}})
        [[ $word != -* ]] && (( $#found )) && way="${{way:+$way }}$word"
    done
    _crystal_children "$way"
    if (( $#reply )) && [[ $current != -* ]]; then
        _describe command reply
        return
    fi
    answer=$(_TYPER_COMPLETE_ARGS="${{words[1,$CURRENT]}}" _CRYSTAL_COMPLETE=complete_zsh "$words[1]" 2>/dev/null)
    if [[ $answer == _arguments* ]]; then
        eval "$answer"
    elif [[ $current == -* ]]; then
        flags=(${{=$(_crystal_flags "$way")}})
        compadd -- $flags
    else
        _files
    fi
}}

if [[ $funcstack[1] == _crystal ]]; then
    _crystal "$@"
else
    compdef _crystal crystal
fi
"""


def fish(pages: Sequence[Page]) -> str:
    """Script for ``share/fish/vendor_completions.d``."""
    lines = [
        "# fish completion for crystal",
        HEADER,
        "",
        "function __crystal_at --description 'the words that are no flags begin with these, and no more'",
        "    set -l words (commandline -opc)",
        "    set -e words[1]",
        "    set -l plain (string match -v -- '-*' $words)",
        "    set -l n (count $argv)",
        '    test (count $plain) -ge $n; and test "$plain[1..$n]" = "$argv"',
        "end",
        "",
        "function __crystal_ask --description 'what the program knows: installed parts, flags of the chosen ones'",
        "    env _CRYSTAL_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \\",
        "        _TYPER_COMPLETE_ARGS=(commandline -cp) crystal 2>/dev/null",
        "end",
        "",
    ]
    for page in pages:
        if page.children:
            below = " ".join(page.children)
            condition = f"not __fish_seen_subcommand_from {below}"
            if page.path:
                condition = f"__crystal_at {' '.join(page.path)}; and {condition}"
            lines += [
                f"complete -c crystal -f -n {_quote(condition)} -a {_quote(n)} -d {_quote(t)}"
                for n, t in page.children.items()
            ]
        else:
            condition = f"__crystal_at {' '.join(page.path)}"
            lines += [_fish_option(condition, i) for i in page.options]
            lines.append(f"complete -c crystal -n {_quote(condition)} -a '(__crystal_ask)'")
    return "\n".join(lines) + "\n"


def _fish_option(condition: str, item: TreeItem) -> str:
    words = []
    for name in item.names:
        words.append(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}")
    if item.choices:
        words.append(f"-x -a {_quote(' '.join(item.choices))}")
    elif item.is_path:
        words.append("-r")
    elif item.value:
        words.append("-x -a '(__crystal_ask)'")
    title = item.help.split("\n", 1)[0]
    return f"complete -c crystal -n {_quote(condition)} {' '.join(words)} -d {_quote(title)}"


def _children(page: Page) -> str:
    return " ".join(page.children)


def _flags(page: Page) -> str:
    return " ".join(dict.fromkeys(n for i in (*page.options, *page.part_options) for n in i.names))


def _cases(pages: Sequence[Page], words: Callable[[Page], str]) -> str:
    return "\n".join(f"        {_quote(' '.join(p.path))}) echo {_quote(words(p))} ;;" for p in pages if words(p))


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
