/**
 * Scripts that teach bash, zsh and fish to ask `lighter __complete SHELL …` for candidates. The answer has a line for
 * each
 * candidate, followed by a tab and a description where there is one, and perhaps a last line ":files" (offer file names
 * as well)
 * or ":nospace" (the word goes on).
 */

/**
 * Bash cuts words at ":" and "=", so it passes its line whole and gets back what belongs after the last cut. The script
 * works without the bash-completion package.
 */
const bash = `# bash completion for lighter
_lighter() {
  local line program=\${COMP_WORDS[0]/#\\~\\//$HOME/}
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
    :files) compopt -o default ;;
    :nospace) compopt -o nospace ;;
    *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <("$program" __complete bash "\${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
}
complete -F _lighter lighter
`;

const zsh = `#compdef lighter
_lighter() {
  local line files=
  local -a candidates nospace
  while IFS= read -r line; do
    case $line in
    :files) files=yes ;;
    :nospace) nospace=(-S '') ;;
    *) candidates+=("\${\${line//:/\\\\:}/$'\\t'/:}") ;;
    esac
  done < <("\${words[1]}" __complete zsh "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#candidates} )); then _describe -V lighter candidates $nospace; fi
  if [[ -n $files ]]; then _files; fi
}
compdef _lighter lighter
`;

const fish = `# fish completion for lighter
function __lighter_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete fish $words[2..-1] 2>/dev/null
end
function __lighter_wants_files
    __lighter_complete | string match -q ':files'
end
complete -c lighter -f -a '(__lighter_complete | string match -v ":*")'
complete -c lighter -n __lighter_wants_files -F
`;

export const COMPLETION_SCRIPTS: Readonly<Record<string, string>> = { bash, zsh, fish };
