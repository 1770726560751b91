using System.ComponentModel.DataAnnotations;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.Connectors.Keys;

/// <summary>Makes key services as an administrator configures them: the connector, retries around it, the memory around both.</summary>
public static class KeyServices
{
    /// <exception cref="ValidationException">An option is out of its bounds.</exception>
    public static CachingKeyService Vault(VaultOptions options, TimeProvider clock)
    {
        Validate(options);
        if (options.Url.Scheme is not ("https" or "http")) throw new ValidationException($"Vault's address is {options.Url}; allowed is https://HOST:PORT.");
        if ((options.Token.Length == 0) == (options.TokenFile.Length == 0)) throw new ValidationException("Vault needs a token or a file that holds one, and not both.");
        return Around(new VaultKeyService(options), options, clock);
    }

    /// <exception cref="ValidationException">An option is out of its bounds.</exception>
    public static CachingKeyService AwsKms(AwsKmsOptions options, TimeProvider clock)
    {
        Validate(options);
        if ((options.AccessKey.Length == 0) != (options.SecretKey.Length == 0)) throw new ValidationException("AWS KMS needs an access key and a secret key, or neither.");
        return Around(new AwsKmsKeyService(options), options, clock);
    }

    private static CachingKeyService Around<T>(T service, KeyServiceOptions options, TimeProvider clock) where T : IKeyService, IDisposable =>
        new(new RetryingKeyService(service, options, clock, Random.Shared), options, clock, service);

    private static void Validate(object options) => Validator.ValidateObject(options, new(options), validateAllProperties: true);
}
