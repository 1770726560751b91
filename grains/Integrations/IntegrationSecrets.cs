using System.Security.Cryptography;
using System.Text.Json;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Secrets;

namespace DarkStorage.Grains.Integrations;

/// <summary>An integration's credentials: a JSON object of the secret settings, sealed, and bound to the integration's name: moved to another they do not open.</summary>
public static class IntegrationSecrets
{
    public static byte[] Seal(this ISecretBox box, string integration, Dictionary<string, string> opened)
    {
        var plain = JsonSerializer.SerializeToUtf8Bytes(opened);
        var sealedBytes = box.Seal(plain, PurposeOf(integration));
        CryptographicOperations.ZeroMemory(plain);
        return sealedBytes;
    }

    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: no key opens them.</exception>
    public static Dictionary<string, string> OpenSecrets(this ISecretBox box, string integration, byte[] sealedBytes)
    {
        byte[] plain;
        try
        {
            plain = box.OpenBytes(sealedBytes, PurposeOf(integration));
        }
        catch (CryptographicException e)
        {
            throw new StorageException(StorageError.DataDamaged, $"The credentials of the integration {integration} do not open: give it new ones.", e);
        }
        var opened = JsonSerializer.Deserialize<Dictionary<string, string>>(plain)!;
        CryptographicOperations.ZeroMemory(plain);
        return opened;
    }

    private static string PurposeOf(string integration) => $"integration/{integration}";
}
