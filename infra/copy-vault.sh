#!/usr/bin/env bash
# Copies every secret of one Key Vault, with all its versions, into another that has none of
# their names, and compares the versions afterwards. Running it again goes on where it stopped.
#
#	infra/copy-vault.sh old-vault new-vault
#
# Nothing may be written to the old vault meanwhile: see README.md, "Rotate the vault". Needs
# the Azure CLI, signed in as somebody with the role Key Vault Secrets Officer on both vaults,
# which must be of one subscription and one geography. No secret is printed, and none touches
# the disk in the clear: backups are encrypted by Key Vault.
set -euo pipefail

if [ $# -ne 2 ]; then
	echo "usage: infra/copy-vault.sh old-vault new-vault" >&2
	exit 2
fi
if ! command -v az >/dev/null; then
	echo "infra/copy-vault.sh: az is missing: install the Azure CLI" >&2
	exit 2
fi
old=$1 new=$2
backups=$(mktemp -d)
trap 'rm -rf "$backups"' EXIT

names() { az keyvault secret list --vault-name "$1" --query '[].name' --output tsv | sort; }

versions() {
	az keyvault secret list-versions --vault-name "$1" --name "$2" --query '[].id' --output tsv | sed 's|.*/||' | sort
}

here=$(names "$old")
there=$(names "$new")
copied=0 different=0
for name in $here; do
	if ! grep -qxF -- "$name" <<<"$there"; then
		az keyvault secret backup --vault-name "$old" --name "$name" --file "$backups/$name" --output none
		az keyvault secret restore --vault-name "$new" --file "$backups/$name" --output none
		rm -f "$backups/$name"
		copied=$((copied + 1))
	fi
	want=$(versions "$old" "$name")
	got=$(versions "$new" "$name")
	if [ -z "$want" ] || [ "$got" != "$want" ]; then
		echo "$name: the two vaults do not have the same versions" >&2
		different=$((different + 1))
	fi
done

echo "$copied secrets copied, $different with other versions than in $old"
[ "$different" -eq 0 ]
