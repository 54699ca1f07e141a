"""Scripts for bash, zsh and fish: each asks `sampan __complete WORD...` for the candidates."""

from __future__ import annotations

BASH = r"""# bash completion for sampan; load it with: source <(sampan completion bash)
_sampan() {
    local current="${COMP_WORDS[COMP_CWORD]}" words=() candidates word
    # bash takes : and = for word ends; put such words together again.
    local line="${COMP_LINE:0:COMP_POINT}"
    read -ra words <<<"$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    current="${words[-1]}"
    mapfile -t candidates < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
    COMPREPLY=()
    case "${candidates[0]}" in
        :files) compopt -o default; return ;;
        :dirs) compopt -o dirnames; return ;;
    esac
    local prefix=""
    [[ "$current" == *[:=]* ]] && prefix="${current%"${current##*[:=]}"}"
    for word in "${candidates[@]}"; do
        COMPREPLY+=("${word#"$prefix"}")
    done
}
complete -F _sampan sampan
"""

ZSH = r"""#compdef sampan
# zsh completion for sampan; load it with: source <(sampan completion zsh)
_sampan() {
    local -a candidates
    candidates=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    case "${candidates[1]}" in
        :files) _files ;;
        :dirs) _files -/ ;;
        ?*) compadd -- "${candidates[@]}" ;;
    esac
}
if [ "$funcstack[1]" = "_sampan" ]; then
    _sampan "$@"
else
    compdef _sampan sampan
fi
"""

FISH = r"""# fish completion for sampan; load it with: sampan completion fish | source
function __sampan_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (command $words[1] __complete $words[2..-1] 2>/dev/null)
    switch "$found[1]"
        case :files
            __fish_complete_path (commandline -ct)
        case :dirs
            __fish_complete_directories (commandline -ct)
        case '*'
            printf '%s\n' $found
    end
end
complete -c sampan -f -a '(__sampan_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
