#!/usr/bin/env bash
# Copies every secret of one Key Vault, with all versions, into another vault, and compares the
# versions afterwards. It skips a secret whose name the other vault already has, so a second run
# continues where the first one stopped.
#
#	infra/copy-vault.sh old-vault new-vault
#
# Nothing may be written to the old vault meanwhile: see README.md, "Rotate the vault". Needs the
# Azure CLI, signed in as a person with the role Key Vault Secrets Officer on both vaults. The vaults
# must be in the same subscription and the same geography. The script prints no secret and writes
# none to the disk in clear text: Key Vault encrypts the backups.
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
