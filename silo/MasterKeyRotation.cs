using DarkStorage.Silo.Configuration;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.Silo;

/// <summary>The verb <c>rotate-master-key</c>: a new master key, and the key ring sealed anew under it.</summary>
/// <remarks>A crash at any point leaves a node that starts. First the file of master keys gets the new one beside the old ones, durably; only then is the ring
/// sealed under it, in a new file that is moved into place. Before the move the ring opens under an old key, after it under the new one.</remarks>
internal static class MasterKeyRotation
{
    public static async Task<int> RunAsync(string path, TextWriter output, TextWriter error, CancellationToken ct)
    {
        try
        {
            var data = DataDirectory.OpenExisting(path);
            using var file = KeyRingFile.Open(data.KeyRingFile);        // refused while a node has it open
            var count = data.AddMasterKey();
            using var ring = await KeyRing.OpenAsync(file, data.OpenMasterKeyBox(), TimeProvider.System, ct);
            await output.WriteLineAsync($"There is a new master key, and the key ring is sealed under it. {count} are kept: older ones open what was sealed before.");
            return 0;
        }
        catch (Exception e) when (e is InvalidDataException or StorageStartupException or IOException or UnauthorizedAccessException)
        {
            await error.WriteLineAsync($"darkstorage-silo: {e.Message}");
            return 1;
        }
    }
}
