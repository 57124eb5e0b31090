// Command pack packs a folder that make has staged into the zip that a cloud is given:
//
//	go run ./infra/pack dist dist.zip handler host.json '*/function.json'
//	go run ./infra/pack dist-lambda dist-lambda/function.zip bootstrap
//
// The arguments are the folder, the zip, the program at the folder's top, and patterns of
// [path.Match] for the other files. The program gets mode 0755, because Azure Functions and AWS
// Lambda execute it. Every other file gets 0644, whatever its mode in the folder. Names are
// relative to the folder.
//
// A zip is published, so pack takes no file that was not asked for. A file that is neither the
// program nor matches a pattern makes it fail, and so does local.settings.json in any case.
//
// The same files give the same bytes with the same release of Go, which supplies the compressor.
// Entries are sorted by name, have one fixed time, and have no extra fields.
package main
