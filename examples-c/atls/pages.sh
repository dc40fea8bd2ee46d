# pages.sh - has the tool print its man pages and completions into a folder.
#
# usage: pages.sh ATLS FOLDER
set -eu
rm -rf "$2"
mkdir -p "$2/man1"
"$1" --man > "$2/man1/atls.1"
for name in $("$1" --commands); do
    "$1" --man "$name" > "$2/man1/atls-$name.1"
done
"$1" completion bash > "$2/atls.bash"
"$1" completion zsh > "$2/_atls"
"$1" completion fish > "$2/atls.fish"
touch "$2/done"
