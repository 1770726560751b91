namespace Orleans.Runtime
{
    /// <summary>Something went wrong in the engine, not in the grain.</summary>
    public class OrleansException : Exception
    {
        public OrleansException()
        {
        }

        public OrleansException(string message) : base(message)
        {
        }

        public OrleansException(string message, Exception? innerException) : base(message, innerException)
        {
        }
    }

    /// <summary>The silo refused the call; the grain never saw it.</summary>
    public class OrleansMessageRejectionException : OrleansException
    {
        internal OrleansMessageRejectionException(string message, Exception? innerException = null) : base(message, innerException)
        {
        }
    }

    /// <summary>The silo has not started, or is stopping.</summary>
    public sealed class SiloUnavailableException : OrleansMessageRejectionException
    {
        public SiloUnavailableException() : base("The silo is unavailable")
        {
        }

        public SiloUnavailableException(string msg) : base(msg)
        {
        }

        public SiloUnavailableException(string message, Exception innerException) : base(message, innerException)
        {
        }
    }

    /// <summary>More waits for one silo than may: the call was not sent, or did not run.</summary>
    public sealed class GatewayTooBusyException : OrleansException
    {
        public GatewayTooBusyException() : base("The silo is too busy")
        {
        }

        public GatewayTooBusyException(string message) : base(message)
        {
        }

        public GatewayTooBusyException(string message, Exception innerException) : base(message, innerException)
        {
        }
    }

    /// <summary>The host is composed in a way that cannot work.</summary>
    public sealed class OrleansConfigurationException : Exception
    {
        public OrleansConfigurationException(string message) : base(message)
        {
        }

        public OrleansConfigurationException(string message, Exception innerException) : base(message, innerException)
        {
        }
    }

    /// <summary>More calls wait for one activation than it may queue.</summary>
    public sealed class LimitExceededException : OrleansException
    {
        public LimitExceededException()
        {
        }

        public LimitExceededException(string message) : base(message)
        {
        }

        public LimitExceededException(string message, Exception innerException) : base(message, innerException)
        {
        }
    }

    /// <summary>The grain no longer knows this enumeration: its activation ended, or the caller paused for too long.</summary>
    public sealed class EnumerationAbortedException : Exception
    {
        public EnumerationAbortedException()
        {
        }

        public EnumerationAbortedException(string message) : base(message)
        {
        }

        public EnumerationAbortedException(string message, Exception innerException) : base(message, innerException)
        {
        }
    }

    public sealed class ReminderException : OrleansException
    {
        public ReminderException(string message) : base(message)
        {
        }
    }
}

namespace Orleans.Storage
{
    /// <summary>The stored state is not the one this activation read: it must forget what it holds.</summary>
    public class InconsistentStateException : Runtime.OrleansException
    {
        public InconsistentStateException()
        {
        }

        public InconsistentStateException(string message) : base(message)
        {
        }

        public InconsistentStateException(string message, Exception innerException) : base(message, innerException)
        {
        }

        public InconsistentStateException(string errorMsg, string storedEtag, string currentEtag, Exception? storageException)
            : base(errorMsg, storageException)
        {
            StoredEtag = storedEtag;
            CurrentEtag = currentEtag;
        }

        public InconsistentStateException(string errorMsg, string storedEtag, string currentEtag)
            : this(errorMsg, storedEtag, currentEtag, null)
        {
        }

        public InconsistentStateException(string storedEtag, string currentEtag, Exception storageException)
            : this(storageException.Message, storedEtag, currentEtag, storageException)
        {
        }

        public string? StoredEtag { get; }

        public string? CurrentEtag { get; }

        /// <summary>True until it has left the activation whose state is stale: a caller that rethrows it is not to blame.</summary>
        internal bool IsSourceActivation { get; set; } = true;

        public override string ToString() => $"{base.ToString()} (stored etag {StoredEtag}, held etag {CurrentEtag})";
    }

    /// <summary>No storage of that name, or one that cannot be made.</summary>
    public sealed class BadProviderConfigException : Runtime.OrleansException
    {
        public BadProviderConfigException()
        {
        }

        public BadProviderConfigException(string msg) : base(msg)
        {
        }

        public BadProviderConfigException(string msg, Exception exc) : base(msg, exc)
        {
        }
    }
}

namespace Orleans.Serialization
{
    public class SerializerException : Exception
    {
        public SerializerException(string message) : base(message)
        {
        }
    }

    /// <summary>A type that cannot cross grains: it lacks <see cref="GenerateSerializerAttribute"/>.</summary>
    public sealed class CodecNotFoundException : SerializerException
    {
        public CodecNotFoundException(string message) : base(message)
        {
        }
    }
}
